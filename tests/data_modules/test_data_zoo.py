"""The zoo's fates, in `softmask data check` and in training that Lightning runs."""

import json
from collections import Counter

import cages
import numpy as np
import pytest
import zoo
from lightning.pytorch.callbacks import ModelCheckpoint
from program import scalars
from training import AloneStrategy
from zoo_runs import BATCH, Recorder, checked, counts, data, trainer

from data_modules import PretrainData
from data_modules.contents import captions as read_captions
from data_modules.contents import picture
from data_modules.reasons import BadSample, Reason
from data_modules.shards import Sample
from data_modules.text import normalise
from softmask.errors import InputError

ANIMALS = zoo.animals()
FILLERS = [zoo.good(number) for number in range(64 - len(ANIMALS) % 8)]


def reasons(animals):
    return Counter(one.reason.value for one in animals if one.reason)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All animals among good samples, in shards of 18 or so."""
    folder = tmp_path_factory.mktemp("zoo")
    order = np.random.default_rng(0).permutation(len(ANIMALS) + len(FILLERS))
    both = [[*ANIMALS, *FILLERS][place] for place in order]
    for number in range(8):
        zoo.write_tar(folder / f"{number:05d}.tar", zoo.members(both[number::8]))
    return folder


def read(sample):
    return picture(sample), read_captions(sample)


def test_the_zoo_is_large():
    assert len({one.name for one in ANIMALS}) == len(ANIMALS)
    assert sum(one.reason is not None for one in ANIMALS) + len(cages.cages()) >= 40


@pytest.mark.parametrize("animal", ANIMALS, ids=lambda one: one.name)
def test_an_animals_fate(animal):
    columns = {name.lower(): data for name, data in animal.columns.items()}
    sample = Sample(0, "zoo.tar", animal.name, columns)
    if animal.reason is None:
        assert normalise(read_captions(sample)[0], 30) == animal.caption
        seen = picture(sample)
        assert seen.shape == animal.pixels.shape
        assert seen.dtype == np.uint8
        assert np.abs(seen.astype(int) - animal.pixels).max() <= animal.off * 3
        assert np.abs(seen.astype(int) - animal.pixels).mean() <= animal.off
    elif animal.reason in (Reason.EMPTY_CAPTION, Reason.BAD_UTF8, Reason.LONG_CAPTION):
        assert picture(sample).shape == zoo.PICTURE.shape
    else:
        with pytest.raises(BadSample) as bad:
            read(sample)
        assert bad.value.reason == animal.reason


@pytest.mark.parametrize("workers", [0, 2])
def test_check_counts_the_zoo(folder, tmp_path, workers, capsys):
    report, code = checked(folder, tmp_path, workers=workers, ranks=2, batch_size=5)
    expected = reasons(ANIMALS) + Counter(one.also.value for one in ANIMALS if one.also)
    assert counts(report) == dict(expected)
    assert report["mended"] == dict(Counter(m.value for one in ANIMALS for m in one.mends))
    kept = len(FILLERS) + sum(one.reason is None for one in ANIMALS)
    assert (report["samples"], report["good"]) == (len(ANIMALS) + len(FILLERS), kept)
    assert code == 1
    epoch = report["epoch"]
    assert (epoch["steps_per_epoch"], epoch["left_over"]) == divmod(report["samples"], 10)
    said = capsys.readouterr().out
    for reason, problem in report["problems"].items():
        assert f"{reason:20} {problem['count']:8}" in said
        named = {one.name for one in ANIMALS if reason in (one.reason, one.also)}
        assert {example["key"] for example in problem["examples"]} <= named
        assert all(example["shard"].startswith(str(folder)) for example in problem["examples"])


def listed(run):
    lines = (run / "run" / "dropped.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def logged(run):
    found = {tag: max(values.items()) for tag, values in scalars(run / "run").items()}
    return {
        tag.removeprefix("data/dropped/"): value
        for tag, (_, value) in found.items()
        if tag.startswith("data/dropped/")
    }


@pytest.mark.parametrize("workers", [0, 2])
def test_training_counts_the_zoo(folder, tmp_path, workers, capsys):
    model, module = Recorder(), data(folder, workers=workers)
    trainer(tmp_path).fit(model, module)
    expected = reasons(ANIMALS)
    total = len(ANIMALS) + len(FILLERS)
    assert module.dropped() == {"read": total, **expected}
    assert logged(tmp_path) == expected
    drops = listed(tmp_path)
    assert {drop["key"]: drop["reason"] for drop in drops} == {
        one.name: one.reason.value for one in ANIMALS if one.reason
    }
    assert len(drops) == expected.total()
    assert all(drop["shard"].startswith(str(folder)) and drop["detail"] for drop in drops)
    assert f"corrupt_picture {expected['corrupt_picture']}" in capsys.readouterr().out

    assert [len(batch["key"]) for batch in model.batches] == [BATCH] * (total // BATCH)
    known = {one.name: one for one in [*ANIMALS, *FILLERS]}
    seen = Counter(key for batch in model.batches for key in batch["key"])
    assert set(seen) == {name for name, one in known.items() if one.reason is None}
    for batch in model.batches:
        for key, caption, image in zip(*batch.values(), strict=True):
            animal = known[key]
            assert caption == animal.caption
            off = np.abs(image.permute(1, 2, 0).numpy().astype(int) - animal.pixels)
            assert off.mean() <= animal.off, key


def test_ranks_and_workers_put_the_same_samples_in(folder):
    def keys(rank=0, world=1, workers=0):
        class Rank:
            world_size, overfit_batches, limit_train_batches, global_rank = world, 0, 1.0, rank
            training = False
            strategy = AloneStrategy()

        module = data(folder, workers=workers, batch_size=BATCH // world)
        module.trainer = Rank()
        loader = module.train_dataloader()
        return [batch["key"] for _ in range(2) for batch in loader]

    expected = keys()
    assert expected == keys(workers=2)
    halves = keys(0, 2), keys(1, 2)
    assert [a + b for a, b in zip(*halves, strict=True)] == expected


@pytest.mark.parametrize("done", [5, 18, 23])
def test_a_resumed_run_ends_with_the_same_counts(folder, tmp_path, done):
    whole = Recorder()
    module = data(folder)
    trainer(tmp_path / "whole", max_epochs=2).fit(whole, module)
    every = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
    first, again = Recorder(end_at=done + 3), Recorder()
    options = {"max_epochs": 2, "enable_checkpointing": True, "callbacks": [every]}
    with pytest.raises(RuntimeError, match="went away"):
        trainer(tmp_path / "cut", **options).fit(first, data(folder, workers=1))
    resumed = data(folder)
    trainer(tmp_path / "cut", max_epochs=2).fit(
        again, resumed, ckpt_path=tmp_path / f"step={done}.ckpt", weights_only=False
    )
    keys = [batch["key"] for batch in whole.batches]
    assert [batch["key"] for batch in again.batches] == keys[done:]
    assert resumed.dropped() == module.dropped()
    assert module.dropped()["read"] == 2 * (len(ANIMALS) + len(FILLERS))
    assert listed(tmp_path / "cut") == listed(tmp_path / "whole")


def test_too_many_drops_end_the_run_with_a_table(folder, tmp_path):
    model = Recorder()
    with pytest.raises(InputError) as error:
        trainer(tmp_path).fit(model, data(folder, max_drop_rate=0.2))
    bad, total = reasons(ANIMALS), len(ANIMALS) + len(FILLERS)
    said = str(error.value)
    assert f"{bad.total()} of {total} training samples" in said
    assert "max_drop_rate 0.2" in said
    for reason, count in bad.items():
        assert f"{reason} {count} ({count / total:.2%})" in said
    assert len(listed(tmp_path)) == bad.total(), "the last batch's too"
    assert len(model.batches) == total // BATCH - 1
    fine = Recorder()
    trainer(tmp_path / "fine").fit(fine, data(folder, max_drop_rate=bad.total() / total + 1e-9))
    assert len(fine.batches) == total // BATCH


def test_a_clean_run_lists_nothing(tmp_path):
    zoo.write_tar(tmp_path / "data" / "a.tar", zoo.members(FILLERS[:16]))
    module = data(tmp_path / "data", max_drop_rate=0.0)
    trainer(tmp_path).fit(Recorder(), module)
    assert module.dropped() == {"read": 16}
    assert not (tmp_path / "run" / "dropped.jsonl").exists()
    report, code = checked(tmp_path / "data", tmp_path)
    assert (code, report["problems"], report["good"]) == (0, {}, 16)


def test_nothing_but_bad_samples_ends_with_a_name(tmp_path):
    bad = [one._replace(name=f"bad-{n}") for n in range(8) for one in ANIMALS[:1]]
    zoo.write_tar(tmp_path / "data" / "a.tar", zoo.members(bad))
    with pytest.raises(InputError, match=r"16 samples in a row.*bad-\d.*corrupt_picture"):
        trainer(tmp_path).fit(Recorder(), data(tmp_path / "data"))


def test_a_shard_of_bad_samples_borrows_from_others(tmp_path):
    bad = [one._replace(name=f"bad-{n}") for n in range(8) for one in ANIMALS[:1]]
    zoo.write_tar(tmp_path / "data" / "a.tar", zoo.members(bad))
    zoo.write_tar(tmp_path / "data" / "b.tar", zoo.members(FILLERS[:40]))
    model = Recorder()
    trainer(tmp_path).fit(model, data(tmp_path / "data"))
    assert [len(batch["key"]) for batch in model.batches] == [BATCH] * 6


@pytest.mark.parametrize("animal", [ANIMALS[0], *[a for a in ANIMALS if a.name == "latin-1"]])
@pytest.mark.parametrize("workers", [0, 1])
def test_evaluation_refuses_by_name(tmp_path, animal, workers):
    file = zoo.write_tar(tmp_path / "a.tar", zoo.members([*FILLERS[:3], animal]))
    module = PretrainData(val=str(file), image_size=16, workers=workers)
    message = ""
    loader = module.val_dataloader()
    try:
        list(loader)
    except InputError as error:
        message = str(error)
    loader.close()
    assert animal.name in message
    assert f"({animal.reason.value})" in message
    assert "softmask data check" in message
    assert str(file) in message
