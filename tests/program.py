"""Runs the program as its users do, in this process or in a fresh one, and reads what it wrote."""

import contextlib
import io
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from softmask.cli import main

REPO = Path(__file__).parent.parent
CONF = REPO / "conf"
TINY = REPO / "tests" / "conf" / "tiny.yaml"
ANSWERS = "answers.json"
SPLITS = {"train": "train", "val": "val", "test": "test", "predict": "test"}

# A server that has done nothing but import: its children start at once and share no state.
FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["softmask.cli"])


def warm_up() -> None:
    """Let the server import while the tests begin."""
    forkserver.ensure_running()


class Ended(NamedTuple):
    """How a run of the program ended."""

    code: int
    out: str
    err: str


class Running(NamedTuple):
    """A process that writes its streams to files."""

    process: BaseProcess
    out: Path
    err: Path


def arguments(
    verb: str,
    corpus: Path,
    runs: Path,
    *,
    task: str = "pretrain",
    machine: str = "cpu",
    overlays: Sequence[str | Path] = (),
    under: Sequence[str | Path] = (),
    splits: Iterable[str] = tuple(SPLITS),
) -> list[str]:
    """Machine, task, overlays under the tests' own and over it; then where corpus and runs are."""
    start = [CONF / f"trainer/{machine}.yaml", CONF / f"{task}.yaml", *under]
    files = [*start, tiny(task), *overlays]
    flags = {f"data.init_args.{name}": corpus / SPLITS[name] for name in splits}
    flags |= {"trainer.logger.init_args.save_dir": runs, "trainer.logger.init_args.version": "run"}
    if (corpus / ANSWERS).exists():  # a corpus of questions has the list to choose from
        flags["model.init_args.answers"] = corpus / ANSWERS
    given = [("-c", file) for file in files] + [(f"--{k}", v) for k, v in flags.items()]
    return [verb, *(str(part) for pair in given for part in pair)]


def tiny(task: str) -> Path:
    """The tests' overlay of a task: its own, or the one of pairs."""
    own = TINY.with_name(f"tiny-{task}.yaml")
    return own if own.exists() else TINY


def here(args: Sequence[str]) -> Ended:
    """Run in this process; its seeds and its arguments do not stay behind."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    with (
        patch.dict(os.environ),
        patch.object(sys, "argv", ["softmask"]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main(list(args))
        except SystemExit as end:
            code = end.code or 0
    return Ended(code, out.getvalue(), err.getvalue())


def output_of(*args: object) -> str:
    """What the program prints, run in this process; it ends well."""
    ended = here([str(arg) for arg in args])
    assert ended.code == 0, ended.err
    return ended.out


def refused(*args: object) -> str:
    """The paragraph by which the program refuses, run in this process."""
    ended = here([str(arg) for arg in args])
    assert ended.code == 1
    assert "Traceback" not in ended.err
    return ended.err.splitlines()[-1]


def apart(args: Sequence[str], folder: Path, timeout: float = 120) -> Ended:
    """Run in a fresh process, with its streams in `folder`."""
    return finish(start(main, (list(args),), folder), timeout)


def start(
    function: Callable[..., None],
    args: tuple[Any, ...],
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Running:
    """Begin a function in a fresh process; it must be importable by name."""
    folder.mkdir(parents=True, exist_ok=True)
    streams = folder / "out.txt", folder / "err.txt"
    child = (function, args, streams, dict(environment or {}))
    process = FRESH.Process(target=_child, args=child)
    process.start()
    return Running(process, *streams)


def finish(running: Running, timeout: float = 120) -> Ended:
    """Wait for the end; a process that takes longer is killed with all it started."""
    process = running.process
    process.join(timeout)
    hung = process.exitcode is None
    if hung:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.join(10)
    out, err = running.out.read_text(), running.err.read_text()
    assert not hung, f"no end after {timeout} seconds: {out[-2000:]}{err[-2000:]}"
    return Ended(process.exitcode, out, err)


def _child(
    function: Callable[..., None],
    args: tuple[Any, ...],
    streams: tuple[Path, Path],
    environment: dict[str, str],
) -> None:
    os.setpgrp()
    # A shell ignores it for what it starts in the background, the tests too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, path in enumerate(streams, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.update(environment)
    sys.argv = ["softmask"]
    # Its worker processes are its own children, not the server's, which would outlive its death.
    multiprocessing.set_start_method(None, force=True)
    function(*args)


def scalars(run: Path) -> dict[str, dict[int, float]]:
    """What a run logged for TensorBoard: values by step by tag."""
    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: {event.step: event.value for event in events.Scalars(tag)}
        for tag in events.Tags()["scalars"]
    }
