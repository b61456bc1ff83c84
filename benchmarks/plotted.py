"""Pictures of the ablation as SVG: recall on the way, by steps and by time, and differences."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from statistics import fmean, median

from benchmarks.compared import (
    COSTS,
    RECALL,
    Figure,
    Setting,
    compare,
    default_of,
    moved,
    rows_of,
)
from benchmarks.lines import Line
from benchmarks.paired import Difference
from benchmarks.rows import ALBEF, MAIN
from softmask.curves import LEGEND, WIDTH, Chart, Series, alone, picture, ticks

NAMES, RIGHT, BOTTOM = 204, 12, 28
"""Room for the rows' names, and around the differences."""


def pictures(
    found: Mapping[Setting, Sequence[Line]], known: Sequence[Line]
) -> dict[Setting, dict[str, str]]:
    """All pictures of each setting, by the name of their file.

    Args:
        found: runs of each setting.
        known: all runs, those that only time a step among them.
    """
    return {
        shared: {
            f"{shared.name}-{kind}.svg": drawn
            for kind, drawn in _drawn(shared, lines, known).items()
        }
        for shared, lines in found.items()
    }


def _drawn(shared: Setting, lines: Sequence[Line], known: Sequence[Line]) -> dict[str, str]:
    title = f"{shared.data}, {shared.title}"
    curves = {row: line for row in MAIN if (line := curve(lines, row))}
    costs = {row: cost for row in curves if (cost := seconds_per_step(alike(lines, known), row))}
    timed = {
        row: {round(n * cost): v for n, v in curves[row].items()} for row, cost in costs.items()
    }
    differences = {
        f"{row} - {default_of(row)}": move
        for row in rows_of(lines)
        if row != ALBEF and (move := compare(lines, row, default_of(row), RECALL))
    }
    made: dict[str, str] = {}
    if len(curves) > 1 and shared.budget == "steps":
        made["curves"] = picture(Chart(f"Validation, mean recall, %: {title}", curves))
    if len(timed) > 1:
        made["seconds"] = picture(Chart(f"Validation, mean recall, %: {title}", timed, "second"))
    if differences:
        made["differences"] = forest(title, differences, RECALL)
    return made


def alike(lines: Sequence[Line], known: Sequence[Line]) -> list[Line]:
    """Those of all runs whose steps cost what they do in some runs."""
    places = {tuple(line[key] for key in COSTS) for line in lines}
    return [line for line in known if tuple(line[key] for key in COSTS) in places]


def curve(lines: Sequence[Line], row: str) -> Series:
    """Mean recall on validation in percent by step, over the seeds that have the step."""
    values: dict[int, list[float]] = {}
    for line in lines:
        for step, value in validated(line).items() if line["row"] == row else ():
            values.setdefault(step, []).append(value)
    return {step: fmean(values[step]) for step in sorted(values)}


def validated(line: Line) -> dict[int, float]:
    """A run's mean recall on validation in percent, by step."""
    found = line["curve"].items()
    return {int(step): 100 * point["recall"] for step, point in found if "recall" in point}


def seconds_per_step(lines: Sequence[Line], row: str) -> float | None:
    """What a step of a row takes, of runs that had their machine alone; None if there is none."""
    costs = [
        line["seconds_per_step"]
        for line in lines
        if line["row"] == row and line["jobs"] == 1 and line["seconds_per_step"]
    ]
    return float(median(costs)) if costs else None


def forest(title: str, differences: Mapping[str, Difference], figure: Figure) -> str:
    """Differences with their bootstrap intervals, a line each, about a line at 0.

    Args:
        title: of the setting.
        differences: by name, at least one.
        figure: that differs.
    """
    ends = [0.0]
    for each in differences.values():
        ends += [each.mean, *(each.bootstrap or ())]
    low, high = min(ends), max(ends)
    room = WIDTH - NAMES - RIGHT

    def across(value: float) -> float:
        return NAMES + room * (value - low) / ((high - low) or 1.0)

    foot = LEGEND * (len(differences) + 1) + 8
    drawn = "".join(
        f'<line x1="{across(v):.1f}" y1="{LEGEND}" x2="{across(v):.1f}" y2="{foot}"/>'
        f'<text x="{across(v):.1f}" y="{foot + 14}" text-anchor="middle">{v:.4g}</text>'
        for v in ticks(low, high)
    )
    zero = f"{across(0):.1f}"
    drawn += f'<polyline class="l4" points="{zero},{LEGEND} {zero},{foot}"/>'
    for number, (name, each) in enumerate(differences.items()):
        y = LEGEND * (number + 1.5)
        drawn += f'<text x="{NAMES - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>'
        drawn += _bar(each, y, across)
    said = [f"{name}: {moved(each, figure).strip('*')}" for name, each in differences.items()]
    plot = f'<g transform="translate(0 {LEGEND})">{drawn}</g>'
    return alone(f"Δ {figure.title}: {title}", said, plot, foot + LEGEND + BOTTOM)


def _bar(each: Difference, y: float, across: Callable[[float], float]) -> str:
    """An interval as a line, dashed unless the difference is significant, its mean as a stroke."""
    colour, dashes = ("l0", "none") if each.significant else ("l1", "3 3")
    low, high = (across(end) for end in each.bootstrap or (each.mean, each.mean))
    middle = across(each.mean)
    return (
        f'<polyline class="{colour}" stroke-dasharray="{dashes}" '
        f'points="{low:.1f},{y:.1f} {high:.1f},{y:.1f}"/>'
        f'<polyline class="{colour}" points="{middle:.1f},{y - 5:.1f} {middle:.1f},{y + 5:.1f}"/>'
    )
