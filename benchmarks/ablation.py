"""`make ablation`: the paper's three ideas, alone and together, and the choices within each.

    python -m benchmarks.ablation --data emoji --rows albef soft_mask all --seeds 0 1 2

Each run trains and tests in a process of its own, another one asks its model what
`benchmarks.probe` asks all, and a line goes to docs/results/<data>.jsonl. A run that has its line
is not run again; one that was broken off starts anew, so that its seconds are its own. Rows: see
`benchmarks.rows`.

Compared at equal steps, or with `--budget time` at equal time: each row then takes as many steps,
on a schedule of that length, as fit into the time that ALBEF takes for `--steps`, by the seconds a
step that runs with `--jobs 1` recorded.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from benchmarks.lines import Line, read_lines, same_run
from benchmarks.recorded import machine, make_line, steps_at_equal_time
from benchmarks.rows import ALBEF, FOLDER, MAIN, overlays
from softmask.errors import InputError
from softmask.provenance import commit

CONF = FOLDER.parent


@dataclass(frozen=True)
class Corpus:
    """A data set and the recipe that all its runs share."""

    recipe: tuple[str, ...]  # YAMLs of conf
    shards: Path
    steps: int


CORPORA = {
    "emoji": Corpus(("demo", "ablation/data/emoji"), Path("data/emoji"), 630),
    "scenes": Corpus(("pretrain", "demo/scenes", "demo/pretrain"), Path("data/scenes/pairs"), 3000),
    "photos": Corpus(("demo", "ablation/data/photos"), Path("data/photos"), 300),
}
TRAINERS = {"cpu": "cpu", "cuda": "gpu"}
PRECISION = {("cuda", "small"): "bf16-mixed"}
"""Elsewhere all is float32: tiny models gain nothing by less."""


@dataclass(frozen=True)
class Plan:
    """A run to do; equal plans are the same run."""

    data: str
    row: str
    seed: int
    steps: int
    preset: str
    device: str
    budget: str

    @property
    def name(self) -> str:
        """Of the run's folder."""
        row = self.row.replace("/", ".")
        return f"{self.data}-{self.preset}-{self.device}-{row}-{self.steps}-{self.seed}"


def main(args: Sequence[str] | None = None) -> None:
    """Run what has no line yet.

    Args:
        args: of the command line; `sys.argv` unless given.

    Raises:
        SystemExit: a run failed, after all others have ended.
    """
    given = _parse(args)
    try:
        failed = run_all(given)
    except InputError as error:
        print(f"ablation: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    if failed:
        raise SystemExit(1)


def run_all(given: argparse.Namespace) -> list[str]:
    """Run what has no line yet, `jobs` at a time.

    Returns:
        Names of the runs that failed.

    Raises:
        InputError: a row is unknown, the data is not there, or nothing says what steps cost.
    """
    results: Path = given.results / f"{given.data}.jsonl"
    shards = given.shards or CORPORA[given.data].shards
    if not (shards / "test").is_dir():
        raise InputError(
            f"There is no data in {shards}: make it (see docs/results.md), or name by --shards the "
            f"folder that has train, val and test in it."
        )
    lines = read_lines(results)
    todo = [plan for plan in plans(given, lines) if not any(same_run(plan, x) for x in lines)]
    print(f"{len(todo)} runs to do, {given.jobs} at a time; lines go to {results}", flush=True)
    lock, ended = Lock(), list[tuple[str, bool]]()
    code = given.commit or commit()  # now: lines that are added make a checkout dirty

    def do(plan: Plan) -> None:
        found = run(plan, shards, given, code)
        with lock:
            ended.append((plan.name, found is not None))
            if found is not None:
                append(results, found)
            said = "FAILED, see its log.txt" if found is None else shown(found)
            print(f"[{len(ended)}/{len(todo)}] {plan.name}: {said}", flush=True)

    with ThreadPoolExecutor(given.jobs) as pool:
        list(pool.map(do, todo))
    return [name for name, well in ended if not well]


def plans(given: argparse.Namespace, lines: Sequence[Line]) -> list[Plan]:
    """All runs that were asked for, seed by seed, so that rows can be compared early."""
    asked = given.steps or CORPORA[given.data].steps
    steps = dict.fromkeys(given.rows, asked)
    if given.budget == "time":
        place = (given.preset, given.device, machine(given.device))
        timed = [x for x in lines if (x["preset"], x["device"], x["machine"]) == place]
        steps = {row: steps_at_equal_time(timed, ALBEF, row, asked) for row in given.rows}
    for row in given.rows:
        overlays(row)  # an unknown one stops all before anything has run
    # Of as many steps as were asked for, the run is the same whatever rows have equal.
    budget = {row: given.budget if steps[row] != asked else "steps" for row in given.rows}
    return [
        Plan(given.data, row, seed, steps[row], given.preset, given.device, budget[row])
        for seed in given.seeds
        for row in given.rows
    ]


def run(plan: Plan, shards: Path, given: argparse.Namespace, code: str) -> Line | None:
    """Train, test and probe.

    Returns:
        The run's line; None if one of its processes failed.
    """
    folder: Path = given.runs / plan.name
    probe = folder / "probe.json"
    environment = environment_of(plan.device, given.jobs)
    began = time.perf_counter()
    if not (folder / "report.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)  # what a broken run left
        folder.mkdir(parents=True)
        if not _process(command(plan, shards, given), folder, environment):
            return None
    if not _process(probing(plan, shards, folder), folder, environment):
        return None
    line = make_line(vars(plan), folder, probe, code, given.jobs)
    if not given.keep_checkpoints:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return line | {"wall_seconds": round(time.perf_counter() - began, 1)}


def command(plan: Plan, shards: Path, given: argparse.Namespace) -> list[str]:
    """The program's words to train and test a run."""
    recipe = CORPORA[plan.data].recipe
    names = (f"trainer/{TRAINERS[plan.device]}", *recipe, "ablation/run")
    files = [*(CONF / f"{name}.yaml" for name in names), *preset_files(plan.preset)]
    files += [*overlays(plan.row), *given.overlay]
    logger = {"save_dir": given.runs, "name": "null", "version": plan.name}
    flags = {f"trainer.logger.init_args.{key}": value for key, value in logger.items()}
    flags |= {f"data.init_args.{split}": shards / split for split in ("train", "val", "test")}
    flags |= {
        "seed_everything": plan.seed,
        "data.init_args.seed": plan.seed,
        "trainer.max_steps": plan.steps,
        "trainer.val_check_interval": max(plan.steps // given.points, 1),
        "trainer.precision": PRECISION.get((plan.device, plan.preset), "32-true"),
    }
    if given.workers is not None:
        flags["data.init_args.workers"] = given.workers
    return [
        *(sys.executable, "-m", "softmask", "fit"),
        *(word for file in files for word in ("-c", str(file))),
        *(f"--{key}={value}" for key, value in flags.items()),
        "--then_test=true",
    ]


def preset_files(preset: str) -> list[Path]:
    """The YAML of a size; the recipes themselves are tiny."""
    return [] if preset == "tiny" else [FOLDER / "preset" / f"{preset}.yaml"]


def probing(plan: Plan, shards: Path, folder: Path) -> list[str]:
    """The words to probe a run's model."""
    flags = {"run": folder, "shards": shards, "output": folder / "probe.json"}
    return [
        *(sys.executable, "-m", "benchmarks.probe"),
        *(f"--{key}={value}" for key, value in {**flags, "device": plan.device}.items()),
    ]


def environment_of(device: str, jobs: int) -> dict[str, str]:
    """Runs beside each other share the cores, unless OMP_NUM_THREADS says otherwise."""
    # Threads of one process that wait for each other stand still where the cores are taken: a GPU's
    # run needs none, and its workers need the cores.
    threads = 1 if device == "cuda" else max((os.cpu_count() or 1) // jobs, 1)
    return {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false", **os.environ}


def append(results: Path, line: Line) -> None:
    """Add a line."""
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def shown(line: Line) -> str:
    """A line's main figures."""
    found = line["metrics"]
    recalls = (
        f"{name} {100 * found[f'{name}/r1']:.1f}" for name in RECALLS if f"{name}/r1" in found
    )
    return f"R@1 {', '.join(recalls)} %; {line['train_seconds']:.0f} s of training"


RECALLS = ("itc/i2t", "itc/t2i", "itm/i2t", "itm/t2i")


def _process(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> bool:
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        ended = subprocess.run(words, stdout=log, stderr=log, env=environment, check=False)
    return ended.returncode == 0


def _parse(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", choices=tuple(CORPORA), required=True)
    add("--rows", nargs="+", default=list(MAIN))
    add("--seeds", nargs="+", type=int, default=[0, 1, 2])
    add("--steps", type=int, help="of each run; the data's own unless given")
    add("--budget", choices=("steps", "time"), default="steps", help="what rows have equal")
    add("--preset", choices=("tiny", "deep", "small"), default="tiny")
    add("--device", choices=tuple(TRAINERS), default="cpu")
    add("--jobs", type=int, default=1, help="runs at a time")
    add("--workers", type=int, help="processes that read data, for each run")
    add("--points", type=int, default=6, help="validations on the way, evenly")
    add(
        "--shards", type=Path, help="folder with train, val and test, where it is not the usual one"
    )
    add("--runs", type=Path, default=Path("runs/ablation"))
    add("--results", type=Path, default=Path("docs/results"))
    add("--overlay", nargs="*", type=Path, default=[], help="last YAMLs, of all runs")
    add("--commit", help="of this code, where git is not there to tell")
    add("--keep_checkpoints", action="store_true")
    return parser.parse_args(args)


if __name__ == "__main__":
    main()
