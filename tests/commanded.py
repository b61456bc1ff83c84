"""Checks a command of a page: runs it, or lets the program read and build what it asks for."""

import argparse
import configparser
import contextlib
import io
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import torch
from documented import REPO, Command
from program import Ended, here
from torch.distributed.run import get_args_parser

from softmask.cli import SoftMaskCLI
from softmask.dry_run import check_queue

LIGHTNING = {"fit", "validate", "test", "predict"}
READ_ALONE = (
    *({"data", "emoji"}, {"data", "scenes"}, {"export", "--onnx"}, {"weights", "--push"}),
    {"embed", "--devices"},
)
"""Words of commands that take long or leave this machine; tested elsewhere: flags are read."""
SLURM = {
    *("--nodes", "--ntasks-per-node", "--gpus-per-node", "--cpus-per-task", "--time"),
    *("--requeue", "--signal", "--kill-on-bad-exit"),
}
"""Options of SLURM's that the pages use, from its manual: SLURM itself is not here to ask."""

MAKES = {
    "MAKEFLAGS",
    "MFLAGS",
    "MAKEOVERRIDES",
    "MAKELEVEL",
    "ARGS",
    "CKPT",
    "JOBS",
    "RUN",
    "TRAINER",
}
"""What a make hands on to the next one."""


class Wrong(AssertionError):  # noqa: N818 (no error of anybody here)
    """A command that would not do."""


class Checker:
    """Checks the commands of one page in a folder of its own, which must be the current one.

    Args:
        world: with all files that the pages name.
    """

    def __init__(self, world: Path) -> None:
        self.world = world
        self.written: set[str] = set()  # by commands of this page

    def check(self, command: Command) -> str:
        """Say how a command was checked.

        Raises:
            Wrong: the command is not known, or would not do.
        """
        program, *args = command.words
        known: dict[str, Callable[[list[str]], str]] = {
            "softmask": self.softmask,
            ".venv/bin/softmask": self.softmask,
            "make": self.make,
            "torchrun": self.torchrun,
            "srun": self.srun,
            "#SBATCH": self.slurm,
            "pip": self.pip,
            "python": self.python,
        }
        try:
            if program not in known or {"|", "||", "&&", ";", ">", "&"} & set(args):
                raise Wrong("no check knows such a command")
            return known[program](args)
        except Wrong as wrong:
            raise Wrong(f"{command.place}: `{command.text}`: {wrong}") from None

    def softmask(self, args: list[str], ranks: Sequence[str] = ()) -> str:
        """Build what Lightning's verbs run; run the others."""
        if args and args[0] in LIGHTNING and "--print_config" not in args:
            return build(args, ranks)
        if any(words <= set(args) for words in READ_ALONE):
            return _well(here([*args, "--print_config"]), "read")
        self._make_room(args)
        port = ["--port", "0"] if args[0] == "demo" else []
        with patch("softmask.web.command.serve"):
            return _well(here([*args, *port]), "run")

    def make(self, args: list[str]) -> str:
        """Let make say what it would do; that is checked in turn."""
        for line in planned(*args).splitlines():
            if found := re.match(r"\.venv/bin/softmask (fit|validate|test|predict) .*", line):
                build(shlex.split(found[0])[1:])
        return "planned"

    def torchrun(self, args: list[str]) -> str:
        """Read torchrun's own flags by its own parser."""
        with _quiet() as said:
            try:
                given = get_args_parser().parse_args(args)
            except SystemExit:
                raise Wrong(said()) from None
        whole = [given.training_script, *given.training_script_args]
        if not given.module or whole[0] != "softmask":
            raise Wrong("torchrun is to run -m softmask")
        return self.softmask(whole[1:], ["--trainer.devices", str(given.nproc_per_node)])

    def srun(self, args: list[str]) -> str:
        """Know SLURM's options by name."""
        start = next((n for n, word in enumerate(args) if word == "softmask"), None)
        if start is None:
            raise Wrong("srun is to run softmask")
        self.slurm(args[:start])
        return self.softmask(args[start + 1 :])

    def slurm(self, args: list[str]) -> str:
        """Know options of a batch script, or of srun."""
        for option in args:
            if option.startswith("-") and option.partition("=")[0] not in SLURM:
                raise Wrong(f"{option} is none of SLURM's that are known here")
        return "known"

    def pip(self, args: list[str]) -> str:
        """Find the extras in setup.cfg."""
        parser = configparser.ConfigParser()
        parser.read(REPO / "setup.cfg", encoding="utf-8")
        found = [re.fullmatch(r"(?:softmask|\.)\[(\w+)\]", word) for word in args]
        extras = [one[1] for one in found if one]
        if args[0] != "install" or len(extras) != 1:
            raise Wrong("pip is to install softmask with an extra")
        if extras[0] not in parser["options.extras_require"]:
            raise Wrong(f"setup.cfg has no extra {extras[0]}")
        return "found"

    def python(self, args: list[str]) -> str:
        """Let a benchmark read its flags."""
        if args[:2] == ["-m", "softmask"]:
            return self.softmask(args[2:])
        if args[0] != "-m" or not args[1].startswith("benchmarks."):
            raise Wrong("python is to run -m softmask or a benchmark")
        read_by_benchmark(args[1], args[2:])
        return "read"

    def _make_room(self, args: list[str]) -> None:
        """Take away data or a file where a command of this page writes for the first time."""
        if "--output" not in args:
            return
        place = args[args.index("--output") + 1]
        path = self.world / place
        if place not in self.written and path.is_file():
            path.unlink()
        if place not in self.written and path.parent == self.world / "data":
            for split in path.glob("*/index.json"):
                shutil.rmtree(split.parent)
        self.written.add(place)


def planned(*words: str) -> str:
    """What make would do, whatever the make that runs the tests was told.

    Raises:
        Wrong: make would do nothing.
    """
    environment = {name: value for name, value in os.environ.items() if name not in MAKES}
    make = ["make", "--dry-run", "--no-print-directory", *words]
    done = subprocess.run(make, cwd=REPO, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise Wrong(done.stderr)
    return done.stdout


def build(args: list[str], ranks: Sequence[str] = ()) -> str:
    """Parse, build the trainer, the task and the data, and refuse what a start would refuse.

    The model has its real size but no memory; the accelerator is this machine's.
    """
    with torch.device("meta"), patch.object(SoftMaskCLI, "_run_subcommand", _begun):
        return _well(here([*args, "--trainer.accelerator", "cpu", *ranks]), "built")


def _begun(cli: SoftMaskCLI, verb: str) -> None:
    if verb == "fit":
        check_queue(cli.model, cli.datamodule.batch_size * cli.trainer.world_size)


def read_by_benchmark(module: str, args: list[str]) -> str:
    """Run a benchmark until it has read its flags; gives what it printed."""
    file = REPO / f"{module.replace('.', '/')}.py"
    if not file.exists():
        raise Wrong(f"there is no {module}")
    if "auto_cli" in file.read_text():
        args = [*args, "--print_config"]
    parse = argparse.ArgumentParser.parse_args

    def parsed(*given, **named):
        parse(*given, **named)
        raise SystemExit(0)

    with (
        patch.object(sys, "argv", [module, *args]),
        patch.object(argparse.ArgumentParser, "parse_args", parsed),
        _quiet() as said,
    ):
        try:
            runpy.run_module(module, run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise Wrong(said()) from None
        return said()


def _well(ended: Ended, how: str) -> str:
    if ended.code:
        raise Wrong(ended.err[-2000:] or ended.out[-2000:])
    return how


@contextlib.contextmanager
def _quiet() -> Iterator[Callable[[], str]]:
    """Keep what is printed, to be asked for."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield said.getvalue
