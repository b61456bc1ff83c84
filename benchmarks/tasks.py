"""`make demo-tasks`: one pretraining on scenes, then every task from it, and from scratch.

Each run is a process of its own, in a folder of its own; one that has its report is not run again,
so a broken-off demo goes on where it was. Two run at a time unless told otherwise. The figures go
to `tasks.json` and to a table; `whole.json` says what all of it took, if nothing was there before.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.clock import machine
from softmask.provenance import commit

CONF = Path(__file__).parent.parent / "conf"
Report = Mapping[str, Any]
PRETRAINING = "pretrain"
SCRATCH = "-scratch"
LINES = 30
"""Shown of the end of a failed run's log."""


@dataclass(frozen=True)
class Figure:
    """What a task is judged by: places in its report, whose mean is the figure."""

    name: str
    value: tuple[str, ...]
    chance: str

    def read(self, report: Report) -> float:
        """The figure of a report, 0..1."""
        return sum(_at(report, place) for place in self.value) / len(self.value)


FIGURES = {
    "retrieval": Figure("R@1, re-ranked", ("itm.i2t.r1", "itm.t2i.r1"), "chance_r1"),
    "vqa": Figure("accuracy", ("accuracy",), "majority"),
    "nlvr2": Figure("accuracy", ("accuracy",), "majority"),
    "snli_ve": Figure("accuracy", ("accuracy",), "majority"),
    "grounding": Figure("pointing game", ("pointing",), "box_share"),
}


BETWEEN = {"nlvr2": "nlvr2-pretrain"}
"""What a task's recipe trains between pretraining and fine-tuning; from scratch too."""


@dataclass(frozen=True)
class Outcome:
    """A line of `tasks.json`; shares in 0..1."""

    metric: str
    value: float
    chance: float
    scratch: float
    seconds: float  # of both fine-tunings and tests


def main(args: Sequence[str] | None = None) -> None:
    """Run what is not there yet, then write and print.

    Args:
        args: of the command line; `sys.argv` unless given.
    """
    given = _parse(args)
    begun, anew = time.perf_counter(), not any(given.runs.glob("*/report.json"))
    outcomes = {
        task: outcome(FIGURES[task], tuned, scratch)
        for task, (tuned, scratch) in run_all(given).items()
    }
    path = given.runs / "tasks.json"
    path.write_text(json.dumps({k: asdict(v) for k, v in outcomes.items()}, indent=2) + "\n")
    print(table(outcomes))
    minutes = round((time.perf_counter() - begun) / 60, 1)
    if anew:
        said = {"minutes": minutes, "jobs": given.jobs, "machine": machine(), "commit": commit()}
        (given.runs / "whole.json").write_text(json.dumps(said, indent=2) + "\n")
    print(f"{minutes} minutes. Figures: {path}")


def run_all(given: argparse.Namespace) -> dict[str, tuple[Report, Report]]:
    """Pretrain and fine-tune, `jobs` at a time; what starts from scratch need not wait.

    Returns:
        By task, the report from pretraining and the one from scratch.

    Raises:
        SystemExit: a run failed; those beside it ended first.
    """
    environment = environment_of(given.jobs)
    each = partial(recipe, runs=given.runs, overlay=given.overlay, environment=environment)
    with ThreadPoolExecutor(given.jobs) as pool:
        try:
            pretraining = pool.submit(run, PRETRAINING, [], given.runs, given.overlay, environment)
            scratch = {task: pool.submit(each, task, None, SCRATCH) for task in given.tasks}
            pretraining.result()
            start = last(given.runs, PRETRAINING)
            tuned = {task: pool.submit(each, task, start, "") for task in given.tasks}
            return {task: (tuned[task].result(), scratch[task].result()) for task in given.tasks}
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def environment_of(jobs: int) -> dict[str, str]:
    """Share the cores; small models learn faster side by side, a core each, than one on all."""
    threads = max((os.cpu_count() or 1) // jobs, 1)
    return {"OMP_NUM_THREADS": str(threads), **os.environ}


def recipe(
    task: str,
    start: Path | None,
    suffix: str,
    *,
    runs: Path,
    overlay: Sequence[Path],
    environment: Mapping[str, str],
) -> Report:
    """Train all that a task's recipe trains, and test it.

    Args:
        task: of `FIGURES`.
        start: checkpoint to begin with; None begins from scratch.
        suffix: of the runs' names.
        runs: folder of the demo's runs.
        overlay: last YAMLs.
        environment: of the runs.

    Returns:
        The task's report, with the seconds of all its trainings.
    """
    seconds = 0.0
    for stage in stages(task):
        flags = ["--model.init_args.init_from", str(start)] if start else []
        report = run(stage, flags, runs, overlay, environment, suffix)
        seconds += _at(report, "train_seconds")
        start = last(runs, stage + suffix)
    return {**report, "train_seconds": seconds}


def stages(task: str) -> list[str]:
    """What a task's recipe trains after pretraining, in order."""
    return [BETWEEN[task], task] if task in BETWEEN else [task]


def last(runs: Path, name: str) -> Path:
    """The last checkpoint of a run."""
    return runs / name / "checkpoints" / "last.ckpt"


def run(
    task: str,
    flags: Sequence[str],
    runs: Path,
    overlay: Sequence[Path],
    environment: Mapping[str, str],
    suffix: str = "",
) -> Report:
    """Train and test a task, unless its report is there already; what it says goes to a file.

    Args:
        task: names its YAML and its overlay of the demo.
        flags: more, for the program.
        runs: folder of the demo's runs.
        overlay: last YAMLs, such as those of tests.
        environment: of the program.
        suffix: of the run's name.

    Returns:
        Its report.

    Raises:
        SystemExit: the program failed.
    """
    name = task + suffix
    report, log = runs / name / "report.json", runs / f"{name}.log"
    if not report.is_file():
        runs.mkdir(parents=True, exist_ok=True)
        print(f"== {name} began; it writes to {log}", flush=True)
        words = command(task, name, flags, runs, overlay)
        with log.open("w", encoding="utf-8") as file:
            ended = subprocess.run(words, stdout=file, stderr=file, env=environment, check=False)
        if ended.returncode:
            said = "\n".join(log.read_text(encoding="utf-8").splitlines()[-LINES:])
            print(f"== {name} failed, and {log} ends with:\n{said}", flush=True)
            raise SystemExit(ended.returncode)
    found: Report = json.loads(report.read_text())
    print(f"== {name} is there, after {_at(found, 'train_seconds'):.0f} s of training", flush=True)
    return found


def command(
    task: str, name: str, flags: Sequence[str], runs: Path, overlay: Sequence[Path]
) -> list[str]:
    """The program's words to train and test a task."""
    names = ("trainer/cpu", task, "demo/scenes", f"demo/{task}")
    files = [*(CONF / f"{name}.yaml" for name in names), *overlay]
    place = {"save_dir": runs, "name": "null", "version": name}
    return [
        *(sys.executable, "-m", "softmask", "fit"),
        *(word for file in files for word in ("-c", str(file))),
        *(f"--trainer.logger.init_args.{key}={value}" for key, value in place.items()),
        *("--then_test", "true", *flags),
    ]


def outcome(figure: Figure, tuned: Report, scratch: Report) -> Outcome:
    """Put the reports of a fine-tuning and of the same from scratch side by side."""
    return Outcome(
        metric=figure.name,
        value=figure.read(tuned),
        chance=_at(tuned, figure.chance),
        scratch=figure.read(scratch),
        seconds=_at(tuned, "train_seconds") + _at(scratch, "train_seconds"),
    )


def table(outcomes: Mapping[str, Outcome]) -> str:
    """Outcomes in percent, as lines of text."""
    lines = [f"{'task':<12}{'figure':<18}{'chance':>8}{'scratch':>9}{'pretrained':>12}"]
    for task, each in outcomes.items():
        shares = (100 * share for share in (each.chance, each.scratch, each.value))
        chance, scratch, value = shares
        lines.append(f"{task:<12}{each.metric:<18}{chance:8.1f}{scratch:9.1f}{value:12.1f}")
    return "\n".join(lines)


def _at(report: Report, place: str) -> float:
    found: Any = report
    for name in place.split("."):
        found = found[name]
    return float(found)


def _parse(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tasks", description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/demo-tasks"))
    parser.add_argument("--tasks", nargs="+", choices=tuple(FIGURES), default=list(FIGURES))
    parser.add_argument("--overlay", nargs="*", type=Path, default=[])
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, which share the cores")
    return parser.parse_args(args)


if __name__ == "__main__":
    main()
