"""What a run of the ablation left in its folder, as a line of results."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch

from benchmarks.lines import Line
from softmask.errors import InputError
from softmask.events import Events, read_events

SIGNIFICANT = 5
TRAIN = "train/"
LAST_PART = 5
"""The last fifth of what training logged is averaged."""


def make_line(plan: Mapping[str, Any], folder: Path, probe: Path, commit: str, jobs: int) -> Line:
    """Put a run's report, probe and logs into a line.

    Args:
        plan: what tells the run apart.
        folder: of the run.
        probe: file of `benchmarks.probe`.
        commit: of the code.
        jobs: runs that shared the machine: with one, `seconds_per_step` is the run's own.
    """
    report = json.loads((folder / "report.json").read_text())
    events = read_events(folder)
    return {
        **plan,
        "metrics": {name: short(value) for name, value in flat(metrics_of(report)).items()},
        "probe": {
            name: short(value) for name, value in flat(json.loads(probe.read_text())).items()
        },
        "train": {name: short(value) for name, value in train_ends(events).items()},
        "curve": curve(events),
        "train_seconds": short(report["train_seconds"]),
        "seconds_per_step": seconds_per_step(events),
        "parameters": report["parameters"],
        "hashes": {name: each[:12] for name, each in report["data"].items()},
        "machine": machine(str(plan["device"])),
        "jobs": jobs,
        "torch": torch.__version__,
        "commit": commit,
    }


def metrics_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the test measured, of a report."""
    asides = ("corpus", "data", "train_seconds", "steps", "parameters")
    return {name: value for name, value in report.items() if name not in asides}


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Numbers of a tree by path, such as itc/i2t/r1; intervals are left out."""
    found: dict[str, float] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and name != "interval":
            found |= flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            found[prefix + name] = value
    return found


def train_ends(events: Events) -> dict[str, float]:
    """Means of the last fifth of what training logged, by name: losses, accuracies, masks."""
    ends = {}
    for tag, series in events.scalars.items():
        if tag.startswith(TRAIN):
            values = [series[step] for step in sorted(series)]
            ends[tag.removeprefix(TRAIN)] = fmean(values[-max(len(values) // LAST_PART, 1) :])
    return ends


def curve(events: Events) -> dict[str, dict[str, float]]:
    """Validation by steps taken: the mean recall, and recall at one of both directions."""
    tags = ("recall", "itc/i2t@1", "itc/t2i@1", "itm/i2t@1", "itm/t2i@1")
    points: dict[str, dict[str, float]] = {}
    for tag in tags:
        for step, value in sorted(events.scalars.get(f"val/{tag}", {}).items()):
            points.setdefault(str(step + 1), {})[tag] = short(value)
    return points


def seconds_per_step(events: Events) -> float | None:
    """The median of what was logged: the first steps, and those around a validation, are slow.

    None if nothing was: a run of few steps.
    """
    series = events.scalars.get("perf/seconds_per_step")
    return short(median(series.values())) if series else None


def steps_at_equal_time(lines: Sequence[Line], ground: str, row: str, steps: int) -> int:
    """How many steps of a row take as long as `steps` of the ground row.

    Args:
        lines: of this data, size and device.
        ground: the row whose time is the budget.
        row: the row to fit into it.
        steps: of the ground.

    Raises:
        InputError: no run alone on its machine recorded what a step of one of them takes.
    """
    costs = [
        [
            x["seconds_per_step"]
            for x in lines
            if x["row"] == name and x["jobs"] == 1 and x["seconds_per_step"]
        ]
        for name in (ground, row)
    ]
    for name, found in zip((ground, row), costs, strict=True):
        if not found:
            raise InputError(
                f"Nothing says how long a step of {name} takes: run it with --budget steps and "
                f"--jobs 1 first, on this device, for a hundred steps or more."
            )
    fitting = steps * float(median(costs[0])) / float(median(costs[1]))
    return max(round(fitting), 1)


def machine(device: str) -> str:
    """The device's name, or the processor's."""
    if device == "cuda" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()}, {os.cpu_count()} cores"


def short(value: float) -> float:
    """A number of five digits: lines are kept for good."""
    return float(f"{value:.{SIGNIFICANT}g}")
