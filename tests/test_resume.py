"""A run that goes on from a checkpoint is the run that never stopped, bit for bit."""

import math
from pathlib import Path

import program
import pytest
import torch
import yaml

from softmask.errors import InputError
from softmask.tasks import PretrainTask

STEPS, AN_EPOCH = 7, 3
# The middle of an epoch, its last batch, and its end with validation behind it.
PLACES = {"middle": "step=4", "last batch": "step=3", "end": "end-step=3", "first": "step=1"}


def often(folder: Path) -> Path:
    """An overlay that keeps the state of every step and of every epoch's end."""

    def keep(**options):
        path = "lightning.pytorch.callbacks.ModelCheckpoint"
        return {"class_path": path, "init_args": {"save_top_k": -1, **options}}

    steps = keep(filename="{step}", every_n_train_steps=1)
    ends = keep(filename="end-{step}", every_n_epochs=1, save_on_train_epoch_end=True)
    overlay = {"trainer": {"max_steps": STEPS, "callbacks": [steps, ends]}}
    (folder / "often.yaml").write_text(yaml.safe_dump(overlay))
    return folder / "often.yaml"


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    args = program.arguments("fit", corpus, folder, overlays=[often(folder)])
    ended = program.apart(args, folder)
    assert ended.code == 0, ended.err
    return folder / "run"


def read(path: Path) -> dict:
    return torch.load(path, weights_only=True)  # refuses anything but tensors and plain types


def assert_equal(one, two, name: str = "") -> None:
    assert type(one) is type(two), name
    if isinstance(one, dict):
        assert one.keys() == two.keys(), name
        for key in one:
            assert_equal(one[key], two[key], f"{name}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(two), name
        for number, (a, b) in enumerate(zip(one, two, strict=True)):
            assert_equal(a, b, f"{name}.{number}")
    else:
        same = one.equal(two) if isinstance(one, torch.Tensor) else one == two
        assert same, name


@pytest.mark.parametrize("place", PLACES)
def test_resumed_run_is_the_whole_run(place, whole, corpus, tmp_path):
    kept = whole / "checkpoints" / f"{PLACES[place]}.ckpt"
    done = read(kept)["global_step"]
    args = program.arguments("fit", corpus, tmp_path)
    flags = ["--trainer.max_steps", str(STEPS), "--ckpt_path", str(kept)]
    if place == "middle":
        flags += ["--data.init_args.workers", "1"]
    ended = program.apart([*args, *flags], tmp_path)
    assert ended.code == 0, ended.err
    expected, got = program.scalars(whole), program.scalars(tmp_path / "run")
    tags = {tag for tag in expected if tag.startswith(("train/", "lr"))}
    assert {"train/loss", "train/itc", "train/alpha", "train/temperature", "lr/matrices"} <= tags
    for tag in tags:
        rest = {step: value for step, value in expected[tag].items() if step >= done}
        assert list(rest) == list(range(done, STEPS))
        assert got[tag] == rest, tag
    ends = [read(run / "checkpoints" / "last.ckpt") for run in (whole, tmp_path / "run")]
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        assert_equal(ends[0][part], ends[1][part], part)
    for tag in ("val/recall", "val/itc/mean"):
        later = {step: value for step, value in expected[tag].items() if step > done}
        assert {step: value for step, value in got[tag].items() if step > done} == later


def test_steps_are_not_all_alike(whole):
    """Or equal losses would prove nothing."""
    logged = program.scalars(whole)
    assert len(set(logged["train/loss"].values())) == STEPS
    assert len(set(logged["lr/matrices"].values())) == STEPS
    assert list(logged["train/alpha"].values())[:3] == pytest.approx([0, 0.2, 0.4])
    first, later = (read(whole / "checkpoints" / f"step={n}.ckpt") for n in (1, 4))
    for name in ("queue.image", "momentum.twin.backbone.image_projection.weight"):
        assert not first["state_dict"][name].equal(later["state_dict"][name])


def test_checkpoint_holds_all_that_a_run_goes_on_with(whole):
    kept = read(whole / "checkpoints" / "step=4.ckpt")
    groups = {"freeze": [], "layer_decay": 1.0}
    assert kept["softmask"] == {"task": "PretrainTask", "groups": groups}
    assert "hyper_parameters" not in kept
    state = kept["state_dict"]
    assert {"queue.image", "queue.text_id", "queue.pointer"} <= set(state)
    own = [name for name in state if name.startswith(("backbone.", "words."))]
    assert own
    assert all(f"momentum.twin.{name}" in state for name in own)
    place = kept["PretrainData"]["train"]
    assert (place["epoch"], place["step"]) == divmod(4, AN_EPOCH)
    assert kept["lr_schedulers"][0]["last_epoch"] == 4


def test_init_from_takes_the_weights_alone(whole, corpus, tmp_path, monkeypatch):
    kept = whole / "checkpoints" / "step=4.ckpt"
    found = {}
    real = PretrainTask.on_train_start

    def look(task):
        found["step"] = task.global_step
        found["optimizer"] = dict(task.trainer.optimizers[0].state)
        found["place"] = task.trainer.datamodule.state_dict()["train"]
        found["state"] = {name: t.clone() for name, t in task.state_dict().items()}
        real(task)

    monkeypatch.setattr(PretrainTask, "on_train_start", look)
    args = program.arguments("fit", corpus, tmp_path)
    ended = program.here([*args, "--model.init_args.init_from", str(kept)])
    assert ended.code == 0, ended.err
    assert (found["step"], found["optimizer"]) == (0, {})
    assert (found["place"]["epoch"], found["place"]["step"]) == (0, 0)
    saved = read(kept)["state_dict"]
    own = [n for n in saved if n.startswith(("backbone.", "words.", "matcher."))]
    for name in own:
        assert found["state"][name].equal(saved[name]), name
        if not name.startswith("matcher."):
            assert found["state"][f"momentum.twin.{name}"].equal(saved[name]), name
    logged = program.scalars(tmp_path / "run")
    assert list(logged["train/loss"]) == [0, 1]
    assert logged["train/alpha"][0] == 0
    assert math.isclose(logged["lr/matrices"][0], 1e-5, rel_tol=1e-6)
    assert f"{len(own)} tensors loaded" in ended.out


@pytest.mark.parametrize(("every", "dies", "kept"), [(0, 4, 3), (2, 5, 4), (2, 4, 4)])
def test_a_run_that_dies_leaves_its_last_state(every, dies, kept, corpus, tmp_path, monkeypatch):
    real = PretrainTask.training_step

    def step(task, batch, batch_idx):
        if task.global_step == dies:
            raise InputError("The lights went out.")
        return real(task, batch, batch_idx)

    monkeypatch.setattr(PretrainTask, "training_step", step)
    flags = ["--trainer.max_steps", "7", "--last.every_n_train_steps", str(every)]
    ended = program.here([*program.arguments("fit", corpus, tmp_path), *flags])
    assert ended.code == 1
    assert ended.err.endswith("softmask: The lights went out.\n")
    assert read(tmp_path / "run" / "checkpoints" / "last.ckpt")["global_step"] == kept
