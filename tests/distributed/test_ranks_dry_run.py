"""A dry run that torchrun starts: the first rank says what it finds, once, and none is left."""

import os
import re
import subprocess
import sys

import program
import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only

DDP = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
DRY = ["--dry_run", "true"]
HALF = ["--data.init_args.batch_size", "2"]
QUEUE = ["--model.init_args.contrast.queue_size", "12"]
TOLD = "Dry run of PretrainTask"


def torchrun(args):
    """It returns when the agent, its ranks and all that hold their pipes have ended."""
    agent = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*agent, "--monitor-interval", "0.1", "-m", "softmask", *args],
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_first_rank_tells_once(corpus, tmp_path):
    done = torchrun([*program.arguments("fit", corpus, tmp_path), *DDP, *HALF, *DRY])
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(TOLD) == 1
    assert "on each of 2 rank(s), of 2 samples: 4 together" in done.stdout
    assert done.stderr.count("`max_steps=7` reached") == 1  # the other rank timed no steps
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_work_is_said_once(corpus, tmp_path):
    done = torchrun([*program.arguments("fit", corpus, tmp_path), *DDP, *QUEUE, *DRY])
    assert done.returncode == 1
    said = re.findall(r"^softmask: .*", done.stderr, re.MULTILINE)
    assert len(said) == 1, said
    assert "global batch of 8 pairs" in said[0]
    assert TOLD not in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(params=[0, 1])
def rank(request, monkeypatch):
    """This process as a rank of torchrun's, without the other; none may be waited for."""
    told = {"RANK": request.param, "LOCAL_RANK": request.param, "WORLD_SIZE": 2}
    told |= {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}
    for name, value in told.items():
        monkeypatch.setitem(os.environ, name, str(value))
    monkeypatch.setattr(torch.distributed, "init_process_group", None)
    monkeypatch.setattr("softmask.launched.PATIENCE", 0.0)
    monkeypatch.setattr(rank_zero_only, "rank", request.param)  # Lightning sets it, for good
    return request.param


def test_no_process_group_starts(rank, corpus, tmp_path):
    ended = program.here([*program.arguments("fit", corpus, tmp_path), *DDP, *HALF, *DRY])
    assert ended.code == 0, ended.err
    assert ended.out.count(TOLD) == 1 - rank
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("rank")
@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([*DDP, *QUEUE], "global batch of 8 pairs"),
        ([], "started 2 ranks, and --trainer.devices 1 times --trainer.num_nodes 1 are 1"),
        ([*DDP, "--trainer.num_nodes", "2"], "--trainer.num_nodes 2 are 4"),
    ],
)
@pytest.mark.parametrize("dry", [DRY, []])
def test_every_rank_refuses(flags, dry, says, corpus, tmp_path):
    ended = program.here([*program.arguments("fit", corpus, tmp_path), *flags, *dry])
    assert ended.code == 1
    assert says in ended.err
    assert list(tmp_path.iterdir()) == []
