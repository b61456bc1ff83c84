"""What torchrun, SLURM and Lightning say of the ranks they start."""

import os

import pytest
import torch
from program import here

from softmask import launched
from softmask.errors import InputError
from softmask.launched import check_world, own_rank, started_together

TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "8", "RANK": "3", "LOCAL_RANK": "1"}
FLAGS = ("--devices", "--num_nodes")


@pytest.fixture
def told(monkeypatch):
    """Sets what a launcher would."""
    for name in (*launched.RANK, *TORCHRUN, "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delitem(os.environ, name, raising=False)
    return lambda said: [monkeypatch.setitem(os.environ, *item) for item in said.items()]


@pytest.mark.parametrize(
    ("said", "rank", "started"),
    [
        ({}, 0, 1),
        (TORCHRUN, 3, 8),
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, 1, 1),  # by Lightning, for its own
        ({"SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "8"}, 5, 8),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, 0, 1),  # a batch script: srun is to come
        ({**TORCHRUN, "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}, 3, 8),  # under srun
        ({"RANK": "first"}, 0, 1),
    ],
)
def test_ranks_are_read(said, rank, started, told):
    told(said)
    assert (own_rank(), started_together()) == (rank, started)


def test_ranks_are_those_that_were_set(told):
    check_world(4, 2, FLAGS)  # nobody started any: Lightning will
    told(TORCHRUN)
    check_world(4, 2, FLAGS)
    check_world(8, 1, FLAGS)
    with pytest.raises(InputError, match=r"started 8 ranks, and --devices 4 times --num_nodes 1"):
        check_world(4, 1, FLAGS)


def test_each_rank_of_torchruns_would_embed_everything(told, monkeypatch):
    monkeypatch.setattr(launched, "PATIENCE", 0.0)
    told(TORCHRUN)
    ended = here(["embed", "--model", "none", "--images", "none"])
    assert (ended.code, "started 8 ranks" in ended.err) == (1, True)
    ended = here(["embed", "--model", "none", "--images", "none", "--part", "1/8"])
    assert "There is no folder 'none'" in ended.err  # its parts are the user's own


@pytest.mark.parametrize(
    ("rank", "met", "waits"),
    [("0", False, []), ("1", False, [launched.PATIENCE]), ("1", True, [])],
)
def test_other_ranks_let_the_first_speak_and_then_speak_too(rank, met, waits, told, monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: met)
    told({"RANK": rank})
    ended = here(["embed", "--model", "none"])
    assert slept == waits
    assert ended.err.startswith("softmask: Give one source")
