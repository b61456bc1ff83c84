"""Does an idea pay for its cost, from when on, and how cheap must its step be?

Of validations on the way, seed by seed, and of what steps cost a run that has its machine alone.
Nothing is said of the time before ALBEF's first validation. A point half way is of a learning rate
that has not come down yet: ALBEF's curve lies below what as short a training of its own would
reach, so what an idea may cost is flattered, and at equal seconds whichever has the cheaper step.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.compared import ADDED, MISSING, RECALL, Setting, compare, moved, table
from benchmarks.lines import Line
from benchmarks.plotted import alike, seconds_per_step, validated
from benchmarks.questions import Settings
from benchmarks.rows import ALBEF
from softmask.curves import Series

TIME = "time"
"""The section's name."""
POINTS = 3
"""Validations that a curve must have."""


class Payment(NamedTuple):
    """What an idea costs, and for each seed what it may cost and from when on it leads."""

    cost: float  # of a step, times ALBEF's
    may_cost: list[float | None]  # see `may_cost`
    ahead: list[float | None]  # see `ahead`


def may_cost(idea: Series, ground: Series) -> float | None:
    """After which share of its steps ALBEF first is where an idea ends.

    Args:
        idea: recall by step.
        ground: ALBEF's.

    Returns:
        That of its first validation if it is there by then; None if it never is.
    """
    steps, value = sorted(ground), idea[max(idea)]
    before = steps[0]
    for step in steps:
        if ground[step] >= value:
            rise = ground[step] - ground[before]
            gone = (value - ground[before]) / rise if rise else 1.0
            return (before + (step - before) * gone) / steps[-1]
        before = step
    return None


def ahead(idea: Series, ground: Series, own: float, second: float) -> float | None:
    """The second by which an idea leads, and from which on it does to the end of ALBEF's training.

    An idea that has ended before stays where it is.

    Args:
        idea: recall by step.
        ground: ALBEF's.
        own: seconds that an idea's step takes.
        second: seconds that ALBEF's step takes.

    Returns:
        One at which one of them was validated, or ALBEF's end; None if it trails then.
    """
    mine, theirs = _timed(idea, own), _timed(ground, second)
    first, last = max(min(mine), min(theirs)), max(theirs)
    found = None
    for when in sorted({t for t in (*mine, *theirs) if first <= t <= last}, reverse=True):
        if _at(mine, when) <= _at(theirs, when):
            break
        found = when
    return found


def payments(lines: Sequence[Line], known: Sequence[Line]) -> dict[str, Payment]:
    """Of each idea that has two seeds in common with ALBEF, and a cost beside ALBEF's.

    Args:
        lines: runs of a setting.
        known: all runs, those that only time a step among them.
    """
    timed = alike(lines, known)
    ground, second = curves(lines, ALBEF), seconds_per_step(timed, ALBEF)
    paid = {}
    for row in ADDED:
        idea, own = curves(lines, row), seconds_per_step(timed, row)
        seeds = sorted(idea.keys() & ground.keys())
        if len(seeds) > 1 and own is not None and second is not None:
            paid[row] = Payment(
                own / second,
                [may_cost(idea[seed], ground[seed]) for seed in seeds],
                [ahead(idea[seed], ground[seed], own, second) for seed in seeds],
            )
    return paid


def curves(lines: Sequence[Line], row: str) -> dict[int, Series]:
    """Mean recall on validation in percent by step, of the seeds that have points enough."""
    found = {line["seed"]: validated(line) for line in lines if line["row"] == row}
    return {seed: series for seed, series in found.items() if len(series) >= POINTS}


def time_section(found: Settings, known: Sequence[Line]) -> str:
    """A table for each setting of equal steps: costs, what they may be, and equal time.

    Args:
        found: runs of each setting.
        known: all runs, those that only time a step among them.
    """
    said = ""
    for shared in _equal_steps(found):
        paid = payments(found[shared], known)
        cells = [["row", "seeds", "a step costs", "it may cost", "ahead"]]
        cells[0].append("less ALBEF, at equal time")
        for row, each in paid.items():
            own = [f"`{row}`", str(len(each.ahead)), f"{each.cost:.2f}", _may(each), _ahead(each)]
            cells.append([*own, at_equal_time(found, shared, row, each.cost)])
        if paid:
            said += f"**{shared.data}**, {shared.title}\n\n{table(cells)}\n"
    return said or f"{MISSING}\n"


def time_answer(found: Settings, known: Sequence[Line]) -> str:
    """In short: what a step costs, what it may cost, and the end at equal time."""
    cells = [["a step's cost, what it may be; at equal time", *(f"`{row}`" for row in ADDED)]]
    for shared in _equal_steps(found):
        said = {
            row: f"{each.cost:.2f}, {_may(each)}; {at_equal_time(found, shared, row, each.cost)}"
            for row, each in payments(found[shared], known).items()
        }
        if said:
            own = [said.get(row, MISSING) for row in ADDED]
            cells.append([f"{shared.data}, {shared.title}", *own])
    return table(cells) if cells[1:] else f"{MISSING}\n"


def at_equal_time(found: Settings, shared: Setting, row: str, cost: float) -> str:
    """A row less ALBEF on test pictures, where both had the time of ALBEF's steps."""
    # A row whose steps cost ALBEF's takes as many: its runs at equal time are those of equal steps.
    timed = shared if round(shared.steps / cost) == shared.steps else shared._replace(budget="time")
    return moved(compare(found.get(timed, ()), row, ALBEF, RECALL), RECALL) or MISSING


def _equal_steps(found: Settings) -> list[Setting]:
    return [shared for shared in found if shared.budget == "steps"]


def _timed(series: Series, second: float) -> dict[float, float]:
    return {step * second: series[step] for step in sorted(series)}


def _at(series: Mapping[float, float], when: float) -> float:
    return float(np.interp(when, list(series), list(series.values())))


def _may(each: Payment) -> str:
    """The range over seeds."""
    ends = sorted(each.may_cost, key=lambda share: 2.0 if share is None else share)
    low, high = ("1 or more" if end is None else f"{end:.2f}" for end in (ends[0], ends[-1]))
    return low if low == high else f"{low} to {high}"


def _ahead(each: Payment) -> str:
    """How many seeds lead in the end, and by when all of these do."""
    leads = [when for when in each.ahead if when is not None]
    seeds = f"{len(leads)} of {len(each.ahead)} seeds"
    return f"{seeds}, by second {max(leads):,.0f}" if leads else seeds
