"""Does an idea pay for its cost, from when on, and how cheap must its step be?

Of validations on the way, means over seeds, and of what steps cost a run that has its machine
alone. A point half way is of a learning rate that has not come down yet, so ALBEF's curve lies
below what as short a training of its own would reach: it flatters the ideas.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.compared import ADDED, MISSING, RECALL, Setting, compare, moved, table
from benchmarks.lines import Line
from benchmarks.plotted import curve, seconds_per_step
from benchmarks.rows import ALBEF
from softmask.curves import Series

TIME = "time"
"""The section's name."""
Settings = Mapping[Setting, Sequence[Line]]


class Payment(NamedTuple):
    """What an idea costs and what it may cost."""

    cost: float  # of a step, times ALBEF's
    may_cost: float | None  # ALBEF is there after this share of the steps; None: not within them
    ahead: float | None  # second from which on it leads to the end of ALBEF; None: it trails then


def payment(idea: Series, ground: Series, cost: float, second: float) -> Payment:
    """Compare an idea's curve with ALBEF's.

    Args:
        idea: recall by step; its last point is of as many steps as ALBEF's.
        ground: ALBEF's.
        cost: of an idea's step, times ALBEF's.
        second: seconds that ALBEF's step takes.
    """
    last = max(ground)
    there = reached(ground, idea[max(idea)])
    steps = [0, *sorted(ground)]
    values = [0.0, *(ground[step] for step in steps[1:])]
    ahead = None
    for step in sorted((step for step in idea if step * cost <= last), reverse=True):
        if idea[step] < np.interp(step * cost, steps, values):
            break
        ahead = step * cost * second
    return Payment(cost, None if there is None else there / last, ahead)


def reached(series: Series, value: float) -> float | None:
    """The step at which a curve first has a value, straight between its points and from 0 at 0."""
    before, low = 0, 0.0
    for step in sorted(series):
        high = series[step]
        if high >= value:
            return before + (step - before) * (value - low) / ((high - low) or 1.0)
        before, low = step, high
    return None


def payments(shared: Setting, found: Settings, known: Sequence[Line]) -> dict[str, Payment]:
    """Of each idea of a setting whose curve and cost are known, beside ALBEF's."""
    keys = ("data", "preset", "device")
    alike = [x for x in known if all(x[key] == getattr(shared, key) for key in keys)]
    ground, second = curve(found[shared], ALBEF), seconds_per_step(alike, ALBEF)
    if not ground or second is None:
        return {}
    paid = {}
    for row in ADDED:
        idea, own = curve(found[shared], row), seconds_per_step(alike, row)
        if idea and own is not None:
            paid[row] = payment(idea, ground, own / second, second)
    return paid


def time_section(found: Settings, known: Sequence[Line]) -> str:
    """A table for each setting of equal steps: costs, what they may be, and equal time.

    Args:
        found: runs of each setting.
        known: all runs, those that only time a step among them.
    """
    said = ""
    for shared in found:
        if shared.budget != "steps" or not (paid := payments(shared, found, known)):
            continue
        cells = [["row", "a step costs", "it may cost", "ahead from second", "at equal time"]]
        cells[0][1:3] = [f"{title}, times ALBEF's" for title in cells[0][1:3]]
        cells[0][-1] += f", {RECALL.title}"
        for row, each in paid.items():
            late = "never" if each.ahead is None else f"{each.ahead:,.0f}"
            may = _may(each)
            cells.append(
                [f"`{row}`", f"{each.cost:.2f}", may, late, at_equal_time(found, shared, row)]
            )
        said += f"**{shared.data}**, {shared.title}\n\n{table(cells)}\n"
    return said or f"{MISSING}\n"


def time_answer(found: Settings, known: Sequence[Line]) -> str:
    """In short: what a step costs, what it may cost, and the end at equal time."""
    cells = [["step's cost, what it may be; at equal time", *(f"`{row}`" for row in ADDED)]]
    for shared in found:
        paid = payments(shared, found, known) if shared.budget == "steps" else {}
        said = {
            row: f"{each.cost:.2f}, {_may(each)}; {at_equal_time(found, shared, row)}"
            for row, each in paid.items()
        }
        if said:
            own = [said.get(row, MISSING) for row in ADDED]
            cells.append([f"{shared.data}, {shared.title}", *own])
    return table(cells) if cells[1:] else f"{MISSING}\n"


def at_equal_time(found: Settings, shared: Setting, row: str) -> str:
    """A row less ALBEF where both had the time of ALBEF's steps."""
    lines = found.get(shared._replace(budget="time"), ())
    return moved(compare(lines, row, ALBEF, RECALL), RECALL) or MISSING


def _may(each: Payment) -> str:
    return "1 or more" if each.may_cost is None else f"{each.may_cost:.2f}"
