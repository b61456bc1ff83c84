"""Rivals of `benchmarks.step` on a CPU: in turns, in processes of their own.

What LAVIS does with memory is not what this project does, and a process has one way alone.
"""

import logging
import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks.clock import in_turns, seconds
from benchmarks.presets import Plan
from benchmarks.rivals import Rival
from benchmarks.timing import Timed, compare, look, speed
from softmask.heap import keep_freed_memory

Ask = Callable[[str, str], Any]
"""Asks for one of `ANSWERS` of the rival of a name."""

ANSWERS: Mapping[str, Callable[[Rival, Plan, str], object]] = {
    "parameters": lambda rival, plan, name: rival.parameters(),  # noqa: ARG005
    "step": lambda rival, plan, name: seconds(rival.step, plan.clock()),  # noqa: ARG005
    # Compiled code hides its parts and calls.
    "look": lambda rival, plan, name: look(rival, plan.clock(), whole=not plan.rows[name].compiled),
}


def together(plan: Plan, lavis: Path | None) -> Iterator[Timed]:
    """Race all rivals in turns, so that a busy machine slows all alike.

    Args:
        plan: whom; on a CPU.
        lavis: where LAVIS lies.

    Yields:
        What was found, once.
    """
    with processes(plan, lavis) as ask:
        parameters = {name: ask("parameters", name) for name in plan.rows}
        compare(parameters, plan.size)
        steps = {name: partial(ask, "step", name) for name in plan.rows}
        taken = in_turns(steps, plan.rounds, plan.warmup)
        # Last: the first step makes the optimiser's state, too.
        found = {
            name: {
                "parameters": parameters[name],
                **speed(taken[name], plan.size, plan.device),
                **ask("look", name),
            }
            for name in plan.rows
        }
    yield found, taken


@contextmanager
def processes(plan: Plan, lavis: Path | None) -> Iterator[Ask]:
    """Start the plan's rivals, in one process those that do alike with memory.

    Args:
        plan: whom.
        lavis: where LAVIS lies.

    Yields:
        What asks them, while entered; it raises RuntimeError when their process has ended.
    """
    kinds = {name: (row.lavis, row.keeps) for name, row in plan.rows.items()}
    lines: dict[tuple[bool, bool], Connection] = {}
    with ExitStack() as running:
        for kind in dict.fromkeys(kinds.values()):
            rows = {name: row for name, row in plan.rows.items() if kinds[name] == kind}
            lines[kind] = running.enter_context(_started(replace(plan, rows=rows), lavis, kind[1]))

        def ask(word: str, name: str) -> object:
            try:
                lines[kinds[name]].send((word, name))
                return lines[kinds[name]].recv()
            except (EOFError, OSError):
                said = "it said why above, or was killed for its memory"
                raise RuntimeError(f"The process of {name} has ended: {said}.") from None

        yield ask


def serve(line: Connection, plan: Plan, lavis: Path | None, keeps: bool) -> None:
    """Build rivals and answer until the line is closed; on one thread."""
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    if keeps:
        keep_freed_memory()
    rivals = {name: row.build(plan.size, lavis, plan.device) for name, row in plan.rows.items()}
    with suppress(EOFError):
        while True:
            word, name = line.recv()
            found = ANSWERS[word](rivals[name], plan, name)
            with suppress(BrokenPipeError):  # nobody waits for it any more
                line.send(found)


@contextmanager
def _started(plan: Plan, lavis: Path | None, keeps: bool) -> Iterator[Connection]:
    fresh = multiprocessing.get_context("forkserver")  # a process with threads is not forked
    here, there = fresh.Pipe()
    process = fresh.Process(target=serve, args=(there, plan, lavis, keeps), daemon=True)
    process.start()
    there.close()  # a rival that dies is then seen here
    try:
        yield here
    finally:
        here.close()
        process.join()
