"""Lines of the ablation side by side: which runs compare, their figures, and tables of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.lines import Line
from benchmarks.paired import Difference, Spread, Values, difference, spread
from benchmarks.recorded import steps_at_equal_time
from benchmarks.rows import ALBEF, ALL, IDEAS, MAIN
from softmask.errors import InputError

MISSING = "not measured"
COSTS = ("data", "preset", "device", "machine")
"""What runs share whose steps cost the same."""
END = "end"
"""Of a line: its last validation."""
NEAR = 0.05
"""Steps that fit into a time are rounded, and the cost of a step is measured again and again."""


def backbone(data: str, preset: str) -> str:
    """Its name in conf/backbone: scenes' recipe takes one of its own at the size that is `tiny`."""
    return "local" if (data, preset) == ("scenes", "tiny") else preset


class Setting(NamedTuple):
    """What runs that compare have in common."""

    data: str
    preset: str
    device: str
    steps: int  # of ALBEF
    budget: str

    @property
    def title(self) -> str:
        """In words, without the data."""
        each, equal = f"{self.steps:,} steps each", f"time of {self.steps:,} ALBEF steps"
        size = backbone(self.data, self.preset)
        return f"{size} on {self.device}, {each if self.budget == 'steps' else equal}"

    @property
    def name(self) -> str:
        """Of its files."""
        words = (self.data, self.preset, self.device, str(self.steps), self.budget)
        return "-".join(words[:4] if self.budget == "steps" else words)


class Figure(NamedTuple):
    """What is compared: the mean of some numbers of a line, times a scale."""

    title: str
    paths: tuple[str, ...]  # key of the line, or END, then name in it
    scale: float = 100.0
    digits: int = 1

    def of(self, line: Line) -> float | None:
        """Its value for a run; None if a number is not there."""
        found: list[Any] = []
        for path in self.paths:
            key, _, name = path.partition("/")
            part = _end(line) if key == END else line.get(key, {})
            found.append(part.get(name))
        if any(value is None for value in found):
            return None
        return self.scale * float(sum(found)) / len(found)


def settings(lines: Sequence[Line]) -> dict[Setting, list[Line]]:
    """Sort runs by what they share; runs at equal time come with the ALBEF whose time it is.

    Settings in which no row has two seeds, such as those that time a step, are left out.
    """
    found: dict[Setting, list[Line]] = {}
    for line in lines:
        steps = line["steps"] if line["budget"] == "steps" else _asked(line, lines)
        shared = Setting(line["data"], line["preset"], line["device"], steps, line["budget"])
        found.setdefault(shared, []).append(line)
    for shared, mine in found.items():
        if shared.budget == "time":
            ground = found.get(shared._replace(budget="steps"), [])
            mine += [line for line in ground if line["row"] == ALBEF]
    repeated = {
        shared: mine
        for shared, mine in found.items()
        if any(len({x["seed"] for x in mine if x["row"] == row}) > 1 for row in rows_of(mine))
    }
    order = sorted(
        repeated,
        key=lambda each: (
            each.preset != "tiny",
            each.preset,
            each.device,
            each.budget,
            -each.steps,
        ),
    )
    return {shared: repeated[shared] for shared in order}


def rows_of(lines: Iterable[Line]) -> list[str]:
    """The rows of some runs: the main ones first, then choices idea by idea, then the rest."""
    ideas = ("", *IDEAS)

    def order(row: str) -> tuple[int, int, str]:
        idea = row.partition("/")[0]
        place = MAIN.index(row) if row in MAIN else len(MAIN)
        return place, ideas.index(idea) if idea in ideas else len(ideas), row

    return sorted({line["row"] for line in lines}, key=order)


def default_of(row: str) -> str:
    """What a row is judged by: a choice by its idea, all else by ALBEF."""
    idea, _, choice = row.partition("/")
    return idea if choice and "+" not in row else ALBEF


def values(lines: Iterable[Line], row: str, figure: Figure) -> Values:
    """A row's figure by seed."""
    found = {line["seed"]: figure.of(line) for line in lines if line["row"] == row}
    return {seed: value for seed, value in found.items() if value is not None}


def compare(lines: Sequence[Line], row: str, ground: str, figure: Figure) -> Difference | None:
    """A row less another, seed by seed; None if they share none."""
    return difference(values(lines, row, figure), values(lines, ground, figure))


def means_table(lines: Sequence[Line], rows: Sequence[str], figures: Sequence[Figure]) -> str:
    """Means and standard deviations: a row a line, a figure a column."""
    cells = [["row", "seeds", *(figure.title for figure in figures)]]
    for row in rows:
        seeds = len({line["seed"] for line in lines if line["row"] == row})
        cells.append([f"`{row}`", str(seeds) if seeds else MISSING])
        cells[-1] += [shown(spread(values(lines, row, each)), each, seeds) for each in figures]
    return table(cells)


def differences_table(
    lines: Sequence[Line], pairs: Mapping[str, str], figures: Sequence[Figure]
) -> str:
    """Differences with their intervals: rows less what they are judged by, a figure a column."""
    cells = [["difference", "seeds", *(figure.title for figure in figures)]]
    for row, ground in pairs.items():
        found = [compare(lines, row, ground, figure) for figure in figures]
        seeds = max((each.seeds for each in found if each), default=0)
        cells.append([f"`{row}` - `{ground}`", str(seeds) if seeds else MISSING])
        cells[-1] += [
            moved(each, figure) if each or not seeds else MISSING
            for each, figure in zip(found, figures, strict=True)
        ]
    return table(cells)


def shown(found: Spread | None, figure: Figure, seeds: int = 1) -> str:
    """A mean with its standard deviation; nothing where the row is not there at all."""
    if found is None:
        return MISSING if seeds else ""
    said = f"{found.mean:.{figure.digits}f}"
    return said if found.deviation is None else f"{said} ± {found.deviation:.{figure.digits}f}"


def moved(found: Difference | None, figure: Figure) -> str:
    """A difference with its bootstrap interval: bold if significant, italic if hinted alone."""
    if found is None:
        return ""
    said = f"{found.mean:+.{figure.digits}f}"
    if found.bootstrap is None:
        return said
    low, high = (f"{end:.{figure.digits}f}" for end in found.bootstrap)
    around = "**" if found.significant else "*" if found.hinted else ""
    return f"{around}{said} [{low}, {high}]{around}"


def table(cells: Sequence[Sequence[str]]) -> str:
    """Rows of cells as Markdown, the first as its head."""
    head, *rest = cells
    lines = [head, ["---"] * len(head), *rest]
    return "".join(f"| {' | '.join(each)} |\n" for each in lines)


def _end(line: Line) -> Mapping[str, float]:
    found: Mapping[str, Mapping[str, float]] = line.get("curve") or {"0": {}}
    return found[max(found, key=int)]


def _asked(line: Line, lines: Sequence[Line]) -> int:
    """Of how many steps of ALBEF a run at equal time has the time; a line does not say."""
    mine = [x for x in lines if all(x[key] == line[key] for key in COSTS)]
    try:
        asked = steps_at_equal_time(mine, line["row"], ALBEF, line["steps"])
    except InputError:
        return int(line["steps"])  # what it was computed from is gone
    known = {x["steps"] for x in mine if x["row"] == ALBEF and x["budget"] == "steps"}
    near = [steps for steps in known if abs(steps - asked) <= NEAR * asked]
    return int(min(near, key=lambda steps: abs(steps - asked), default=asked))


SCORES = {"itc": "contrastive", "itm": "re-ranked"}


def recall(score: str, ranks: Sequence[int], title: str) -> Figure:
    """Recall at some ranks, the mean of both directions, in percent."""
    paths = [f"metrics/{score}/{way}/r{k}" for way in ("i2t", "t2i") for k in ranks]
    return Figure(f"{SCORES[score]} {title}", tuple(paths))


RECALL = recall("itm", (1, 5, 10), "mean recall")
"""The mean over R@1, 5, 10 of both directions, of test data."""
JUDGED = Figure("mean recall on validation, re-ranked", (f"{END}/recall",))
"""The same of validation data, by which defaults are chosen: test data is to report them."""
RETRIEVAL = (
    recall("itc", (1,), "R@1"),
    recall("itm", (1,), "R@1"),
    recall("itc", (1, 5, 10), "mean recall"),
    RECALL,
)
ADDED = (*IDEAS, ALL)
