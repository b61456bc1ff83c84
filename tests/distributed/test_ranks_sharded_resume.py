"""Checkpoints of sharded parameters are those of DDP: either run goes on from the other's."""

from pathlib import Path

import pytest
import ranks
import seen
import torch
import training
from lightning.pytorch.callbacks import ModelCheckpoint
from test_ranks_pretrain import ROWS, assert_close
from test_resume import assert_equal

from data_modules import PretrainData
from softmask.errors import InputError
from softmask.optim import Optim

# Whether a run of four steps is sharded, and at the second step of which other one it begins.
RUNS = {
    "ddp": (False, None),
    "sharded": (True, None),
    "sharded again": (True, "sharded"),
    "ddp from sharded": (False, "sharded"),
    "sharded from ddp": (True, "ddp"),
}


def counted(world, corpus, folder, name, start=None, *, batch=2):
    """A sharded run of two epochs, whose length it asks its data for."""
    keep = ModelCheckpoint(folder / name, "{step}", every_n_train_steps=2, save_top_k=-1)
    options = {"max_steps": -1, "max_epochs": 2, "enable_checkpointing": True}
    looks = [keep, seen.Seen(str(folder / name / "seen"))]
    made = ranks.trainer(world, sharded=True, callbacks=looks, **options)
    data = PretrainData(corpus, image_size=training.SIZE, batch_size=batch, workers=0)
    made.fit(training.task(), datamodule=data, ckpt_path=start)


def cut(world, corpus, folder):
    """Go on from an epoch's middle, and with another global batch; gives how that is refused."""
    counted(world, corpus, folder, "whole")
    start = folder / "whole" / "step=2.ckpt"
    counted(world, corpus, folder, "cut", start)
    with pytest.raises(InputError) as told:
        counted(world, corpus, folder, "refused", start, batch=1)
    return {"refused": str(told.value)}


def job(world, rank, corpus, folder):
    """Write checkpoints of runs that go on from each other's."""
    given = [training.batch(ROWS, skip=rank * ROWS)] * 4
    for run, (sharded, begun) in RUNS.items():
        task = training.task(optim=Optim(lr=1e-2, warmup_steps=1, eps=1e-2))
        with torch.no_grad():  # which the first rank's are to replace
            task.matcher.weight.add_(rank)
            task.queue.image.add_(rank)
        keep = ModelCheckpoint(Path(folder) / run, "{step}", every_n_train_steps=2, save_top_k=-1)
        options = {"max_steps": 4, "enable_checkpointing": True, "callbacks": [keep]}
        made = ranks.trainer(world, sharded=sharded, **options)
        start = Path(folder) / begun / "step=2.ckpt" if begun else None
        made.fit(task, datamodule=training.Given(given), ckpt_path=start)
    return cut(world, corpus, Path(folder))


@pytest.fixture(scope="module")
def found(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    told = ranks.on_ranks(job, folder / "ranks", str(corpus / "train"), str(folder))
    return folder, [rank["refused"] for rank in told]


@pytest.fixture(scope="module")
def folder(found):
    return found[0]


def read(folder, run, step=4):
    return torch.load(folder / run / f"step={step}.ckpt", weights_only=True)


@pytest.mark.parametrize("run", ["sharded", "ddp from sharded", "sharded from ddp"])
def test_checkpoints_are_those_of_ddp_and_either_goes_on_from_the_others(folder, run):
    one, other = (read(folder, name) for name in ("ddp", run))
    assert other.keys() == one.keys()
    assert other["softmask"] == one["softmask"]
    assert other["state_dict"].keys() == one["state_dict"].keys()
    for name, value in one["state_dict"].items():
        assert_close(other["state_dict"][name].double(), value.double(), name)
    (mine,), (theirs,) = one["optimizer_states"], other["optimizer_states"]
    assert theirs["param_groups"] == mine["param_groups"]
    assert theirs["state"].keys() == mine["state"].keys()
    for number, moments in mine["state"].items():
        for name, value in moments.items():
            assert_close(theirs["state"][number][name], value, (number, name))


def test_sharded_runs_go_on_as_if_they_had_not_stopped(folder):
    whole_run, again = (read(folder, name) for name in ("sharded", "sharded again"))
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        assert_equal(whole_run[part], again[part], part)
    before = read(folder, "sharded", step=2)["optimizer_states"][0]["state"]
    assert not before[0]["exp_avg"].equal(again["optimizer_states"][0]["state"][0]["exp_avg"])


def test_its_data_go_on_where_they_were_left_though_their_length_was_asked_for(found):
    folder, told = found
    for rank in range(2):
        expected = seen.read(folder / "whole", rank)
        assert seen.steps(expected) == list(range(6))
        assert seen.read(folder / "cut", rank) == expected[2:]
    ends = [read(folder, name, step=6) for name in ("whole", "cut")]
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        assert_equal(ends[0][part], ends[1][part], part)
    assert all("global_batch 4 but this run has 2" in words for words in told)
