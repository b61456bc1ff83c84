"""A dry run says what a training would take, refuses what cannot work, and leaves nothing."""

import dataclasses
import re

import program
import pytest
import torch
import training

from softmask.forecast import (
    Forecast,
    KeptForBackward,
    Lasts,
    count_parameters,
    duration,
    forecast_table,
    gib,
    lasts,
    static_bytes,
)

DRY = ["--dry_run", "true"]


@pytest.fixture(scope="module")
def told(corpus, tmp_path_factory) -> str:
    """What a dry run of ten steps of the tests' pretraining says."""
    runs = tmp_path_factory.mktemp("dry")
    flags = ["--trainer.max_steps", "10", "--trainer.accumulate_grad_batches", "2"]
    ended = program.here([*program.arguments("fit", corpus, runs), *flags, *DRY])
    assert ended.code == 0, ended.err
    assert list(runs.iterdir()) == []
    return ended.out


def test_its_steps_are_as_fast_as_those_of_the_training(corpus, tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr("softmask.callbacks.memory.keep_freed_memory", lambda: kept.append(1))
    for flags, times in ([], 1), (["--memory.keep", "false"], 0):
        kept.clear()
        ended = program.here([*program.arguments("fit", corpus, tmp_path), *flags, *DRY])
        assert ended.code == 0, ended.err
        assert len(kept) == times


def row(told: str, name: str) -> str:
    return next(line.split(maxsplit=1)[1] for line in told.splitlines() if line.split()[0] == name)


def test_it_says_what_a_training_takes(told, fitted):
    state = torch.load(fitted / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    own = [t for name, t in state.items() if not name.startswith(("momentum.", "queue."))]
    twins = [t for name, t in state.items() if name.startswith("momentum.")]
    count, twin = (sum(t.numel() for t in tensors) for tensors in (own, twins))
    assert row(told, "parameters") == f"{count:,} trainable, 0 frozen, {twin:,} twins"
    assert row(told, "samples") == "12 to train, 6 to val"
    assert row(told, "batches").startswith("3 an epoch on each of 1 rank(s), of 4 samples: 4")
    assert row(told, "steps") == "10 in all, 5 epochs, 2 batches a step"
    assert row(told, "contrast").endswith("12 candidates")  # 4 and a queue of 8
    assert row(told, "weights").split() == gib(4 * count).split()
    assert row(told, "Adam").split()[:2] == gib(8 * count).split()
    parts = ("weights", "gradients", "Adam", "twins", "buffers", "activations")
    sizes = [float(row(told, name).split()[0]) for name in parts]
    assert float(row(told, "together").split()[0]) == pytest.approx(sum(sizes), abs=0.003)
    assert sizes[-1] > 0
    seconds = float(re.match(r"([\d.]+) s a batch, the median of 5", row(told, "speed"))[1])
    assert 0 < seconds < 60
    assert row(told, "time").startswith("about ")


def test_it_goes_on_from_a_checkpoint_and_touches_nothing(corpus, fitted):
    last = fitted / "checkpoints" / "last.ckpt"
    before = sorted((path, path.stat().st_mtime_ns) for path in fitted.rglob("*"))
    args = [*program.arguments("fit", corpus, fitted.parent), *DRY, "--ckpt_path", "last"]
    ended = program.here([*args, "--trainer.max_steps", "9"])
    assert ended.code == 0, ended.err
    assert row(ended.out, "steps").endswith("a checkpoint brings 4 along")
    assert sorted((path, path.stat().st_mtime_ns) for path in fitted.rglob("*")) == before
    assert last.exists()


def test_a_run_to_be_named_gets_no_folder(corpus, tmp_path):
    args = [*program.arguments("fit", corpus, tmp_path / "runs"), *DRY, "--ckpt_path", "last"]
    assert program.here(args).code == 0
    assert not (tmp_path / "runs").exists()


INIT = "--model.init_args"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (f"{INIT}.contrast.queue_size 10", "queue_size=10 is not divisible"),
        ("--data.init_args.train null", "data.init_args.train is not given"),
        (f"{INIT}.soft_mask.layer 3", "soft_mask.layer=3"),
        ("--data.init_args.batch_size 16 " + INIT + ".contrast.queue_size 16", "12 samples"),
        ("--data.init_args.batch_size 1", "batch of 1"),
        (f"{INIT}.init_from nowhere.ckpt", "nowhere.ckpt"),
    ],
)
def test_it_refuses_what_cannot_work(flags, says, corpus, tmp_path):
    ended = program.here([*program.arguments("fit", corpus, tmp_path), *DRY, *flags.split()])
    assert ended.code == 1
    assert says in ended.err
    assert list(tmp_path.iterdir()) == []


def test_ranks_are_counted_without_a_process_group(corpus, tmp_path, monkeypatch):
    """Two machines of two ranks with a pair and a half each would be; this process is alone."""
    monkeypatch.setattr(torch.distributed, "init_process_group", None)
    flags = ["--trainer.strategy", "ddp", "--trainer.devices", "2", "--trainer.num_nodes", "2"]
    flags += ["--data.init_args.batch_size", "2"]
    ended = program.here([*program.arguments("fit", corpus, tmp_path), *flags, *DRY])
    assert ended.code == 0, ended.err
    assert row(ended.out, "batches").startswith("1 an epoch on each of 4 rank(s), of 2 samples: 8")
    assert row(ended.out, "contrast").endswith("16 candidates")


def test_a_queue_is_refused_before_ranks_meet(corpus, tmp_path, monkeypatch):
    """Not in a dry run alone."""
    monkeypatch.setattr(torch.distributed, "init_process_group", None)
    flags = ["--trainer.strategy", "ddp", "--trainer.devices", "2"]
    flags += [f"{INIT}.contrast.queue_size", "12"]
    ended = program.here([*program.arguments("fit", corpus, tmp_path), *flags])
    assert (ended.code, "global batch of 8 pairs" in ended.err) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_kept_memory_is_counted_by_hand():
    layer = torch.nn.Linear(8, 8)
    rows = torch.randn(16, 8)
    with KeptForBackward(layer) as kept:
        hidden = layer(rows)  # keeps its input
        out = hidden.exp()  # keeps its result
    assert kept.most == rows.nbytes + hidden.nbytes
    out.sum().backward()
    with KeptForBackward(layer) as kept:
        for _ in range(3):  # one after the other: never two at once
            layer(rows).exp().sum().backward()
    assert kept.most == rows.nbytes + hidden.nbytes


def test_gradients_are_the_same_while_memory_is_counted():
    task, given = training.task(), training.batch()
    training.step(task, given)
    plain = [p.grad.clone() for p in task.parameters() if p.grad is not None]
    other = training.task()
    with KeptForBackward(other) as kept:
        training.step(other, given)
    counted = [p.grad for p in other.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(plain, counted, strict=True))
    assert kept.most > 10 * given["image"].nbytes


def test_bytes_and_counts_of_a_task():
    task = training.task()
    task.backbone.text.requires_grad_(False)
    counts = count_parameters(task)
    held = static_bytes(task)
    frozen = sum(p.numel() for p in task.backbone.text.parameters())
    assert counts["frozen"] == frozen
    assert sum(counts.values()) == sum(p.numel() for p in task.parameters())
    assert held["weights"] == 4 * (counts["trainable"] + frozen)
    assert (held["gradients"], held["Adam"]) == (4 * counts["trainable"], 8 * counts["trainable"])
    assert held["twins"] == 4 * counts["twins"]
    assert held["buffers"] >= task.queue.image.nbytes + task.queue.text.nbytes


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((10, 1, -1, 3), Lasts(10, 30, 3.0)),
        ((10, 4, -1, 3), Lasts(10, 9, 3.0)),
        ((10, 1, 25, -1), Lasts(10, 25, 2.5)),
        ((10, 1, 25, 2), Lasts(10, 20, 2.0)),
        ((10, 1, -1, -1), Lasts(10, None, None)),
    ],
)
def test_steps_follow_lightnings_rules(given, expected):
    assert lasts(*given) == expected


def test_time_is_that_of_the_batches_to_come():
    told = Forecast(
        task="T",
        parameters={"trainable": 1},
        memory={"activations": None},
        measured="hidden",
        samples={"train": 400},
        batch=4,
        ranks=1,
        accumulate=2,
        lasts=Lasts(100, 100, 2.0),
        done=40,
        queue=None,
        seconds=(2.0, 1.0, 90.0),
        waited=0.25,
    )
    said = forecast_table(told)
    assert row(said, "time").startswith("about 4 min 0 s")  # 60 steps of two batches of 2 s
    assert row(said, "speed").startswith("2.000 s a batch, the median of 3, 25% of it")
    assert row(said, "activations") == "not known  hidden"
    assert "contrast" not in said
    endless = dataclasses.replace(told, lasts=Lasts(100, None, None))
    assert "set trainer.max_steps" in row(forecast_table(endless), "steps")


def test_durations_are_read_at_a_glance():
    said = [duration(seconds) for seconds in (0.2, 61, 3600, 90_061)]
    assert said == ["less than a second", "1 min 1 s", "1 h 0 min", "1 d 1 h"]


def test_what_chunks_hide_is_not_counted(corpus, tmp_path):
    args = [*program.arguments("fit", corpus, tmp_path), *DRY, "--blocks.chunk", "2"]
    ended = program.here(args)
    assert ended.code == 0, ended.err
    assert row(ended.out, "activations").startswith("not known  blocks are compiled, recomputed or")
