"""Runs a job as several processes that talk over gloo, or as one."""

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import program
import torch
import training
from lightning.pytorch.strategies import DDPStrategy

from softmask.strategy import FullyShardedStrategy

Job = Callable[..., dict[str, Any]]
"""Takes the number of ranks and its own, then what it is given; gives tensors and plain types."""


def on_ranks(job: Job, folder: Path, *args: Any, world: int = 2) -> list[dict[str, Any]]:
    """What the job gives on each rank; a rank that hangs is killed."""
    running = []
    for rank, place in enumerate(places(world)):
        given = (job, world, rank, args, folder / f"{rank}.pt")
        running.append(program.start(_answer, given, folder / str(rank), place))
    ended = [program.finish(one, timeout=100) for one in running]
    assert [one.code for one in ended] == [0] * world, "".join(one.err[-3000:] for one in ended)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world)]


def on_both(
    args: Sequence[str], folder: Path, flags: Sequence[Sequence[str]] = ((), ())
) -> list[program.Ended]:
    """How the program ended on each of two ranks, each with flags of its own; none may hang."""
    running = [
        program.start(program.main, ([*args, *flags[rank]],), folder / str(rank), place)
        for rank, place in enumerate(places(2))
    ]
    return [program.finish(one, timeout=100) for one in running]


def trainer(world: int, *, sharded: bool = False, **options: Any) -> L.Trainer:
    """A trainer of `world` ranks on this machine's CPU, the same for one but for its strategy."""
    if world > 1:
        strategy = FullyShardedStrategy if sharded else DDPStrategy
        options |= {"strategy": strategy(process_group_backend="gloo"), "devices": world}
    return training.trainer(**options)


def places(world: int) -> list[dict[str, str]]:
    """The environment of each rank."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "NODE_RANK": "0"}
    return [{**place, "LOCAL_RANK": str(rank)} for rank in range(world)]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _answer(job: Job, world: int, rank: int, args: tuple[Any, ...], path: Path) -> None:
    torch.save(job(world, rank, *args), path)
