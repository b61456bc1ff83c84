"""The questions that the ablation is to answer, each with the rows and the figures that tell."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from benchmarks.compared import (
    ADDED,
    JUDGED,
    MISSING,
    RECALL,
    Figure,
    Setting,
    compare,
    default_of,
    differences_table,
    means_table,
    moved,
    rows_of,
    table,
)
from benchmarks.lines import Line
from benchmarks.rows import ALBEF, MAIN

Settings = Mapping[Setting, Sequence[Line]]
Told = tuple[str, Figure]
"""A row, which is compared with what it is judged by, and the figure that tells."""


class Question(NamedTuple):
    """A question.

    Args:
        name: of its marks and its section.
        asked: in words.
        rows: that must be there.
        family: an idea whose choices are shown too.
        tables: of the figures that tell, beside each other where they are read together.
        told: of the short answer.
    """

    name: str
    asked: str
    rows: tuple[str, ...]
    family: str
    tables: tuple[tuple[Figure, ...], ...]
    told: tuple[Told, ...]


ENTROPY = Figure("entropy of the map, % of an even one", ("probe/maps/entropy",))
COVERAGE = Figure("coverage of the boxes, %", ("probe/boxes/coverage",))
MASKED = Figure("no match, under the word's mask, %", ("probe/shortcut/masked/even/accuracy",))
LEVEL = Figure("no match, under a level mask, %", ("probe/shortcut/level/even/accuracy",))
SHUFFLED = Figure("no match, under a shuffled mask, %", ("probe/shortcut/shuffled/even/accuracy",))
MASKS = {
    "plain": "nothing masked",
    "masked": "word's mask",
    "shuffled": "shuffled mask",
    "level": "level mask",
}
TEMPERATURE = Figure("temperature", ("probe/contrast/temperature",), 1, 4)
CALIBRATION = Figure(
    "calibration error, contrast, %",
    ("probe/contrast/i2t/calibration_error", "probe/contrast/t2i/calibration_error"),
)
HARD = Figure("R@1, hard quarter, %", ("probe/contrast/i2t/r1_hard", "probe/contrast/t2i/r1_hard"))
TOGETHER = tuple((row, RECALL) for row in ADDED)
"""What tells whether ideas help, alone and together; the tables of each data set say more."""
MAPS = Question(
    "maps",
    "Does soft masking spread attention beyond the most telling region?",
    (ALBEF, "soft_mask", "all"),
    "soft_mask",
    (
        (
            ENTROPY,
            Figure("mean of the map, %", ("probe/maps/mean",)),
            Figure("empty maps, %", ("probe/maps/empty",)),
        ),
        (
            COVERAGE,
            Figure("pointing, %", ("probe/boxes/pointing",)),
            Figure("energy in boxes, %", ("probe/boxes/energy",)),
            Figure("precision, %", ("probe/boxes/precision",)),
            Figure("the boxes' share, %", ("probe/boxes/box_share",)),
            Figure("pointing of the middle, %", ("probe/boxes/centre",)),
        ),
    ),
    (("soft_mask", ENTROPY), ("soft_mask", COVERAGE)),
)
SHORTCUT = Question(
    "shortcut",
    "Is there a shortcut when pairs alone are masked?",
    (ALBEF, "soft_mask", "soft_mask/positives", "soft_mask/hard_images", "all"),
    "",
    (
        (
            Figure("no match, nothing masked, %", ("probe/shortcut/plain/even/accuracy",)),
            MASKED,
            SHUFFLED,
            LEVEL,
            Figure("in training: masked negatives, %", ("train/accuracy/masked_negatives",)),
        ),
        (
            Figure("likeliest text, nothing masked, %", ("probe/shortcut/plain/hard/accuracy",)),
            Figure("likeliest text, word's mask, %", ("probe/shortcut/masked/hard/accuracy",)),
            *(
                Figure(f"match, {title}, %", (f"probe/shortcut/{mask}/pairs/accuracy",))
                for mask, title in MASKS.items()
            ),
        ),
    ),
    tuple(("soft_mask/positives", figure) for figure in (MASKED, SHUFFLED, LEVEL)),
)
FOCAL = Question(
    "focal",
    "Does focal contrast change temperature, calibration, hard examples?",
    (ALBEF, "focal", "all"),
    "focal",
    (
        (
            TEMPERATURE,
            CALIBRATION,
            Figure("calibration error, matching, %", ("probe/matching/calibration_error",)),
            Figure(
                "confidence, %", ("probe/contrast/i2t/confidence", "probe/contrast/t2i/confidence")
            ),
            Figure("R@1, all, %", ("probe/contrast/i2t/r1", "probe/contrast/t2i/r1")),
            HARD,
        ),
    ),
    (("focal", TEMPERATURE), ("focal", CALIBRATION), ("focal", HARD)),
)
QUESTIONS = (MAPS, SHORTCUT, FOCAL)
COST, DEFAULTS = "cost", "defaults"
"""Sections of two other questions."""


def section(question: Question, found: Settings) -> str:
    """The tables of a question, for each setting of equal steps."""
    said = ""
    for shared, lines in found.items():
        if shared.budget != "steps":
            continue
        family = [row for row in rows_of(lines) if row.startswith(f"{question.family}/")]
        rows = [*question.rows, *(family if question.family else [])]
        pairs = {row: default_of(row) for row in rows if row != ALBEF}
        if not any(
            each in rows_of(lines) and ground in rows_of(lines) for each, ground in pairs.items()
        ):
            continue  # runs of choices of another idea
        said += f"**{shared.data}**, {shared.title}\n\n"
        for figures in _measured(question.tables, lines):
            said += f"{means_table(lines, rows, figures)}\n"
            said += f"{differences_table(lines, pairs, figures)}\n"
    return said or f"{MISSING}\n"


def _measured(
    tables: Sequence[Sequence[Figure]], lines: Sequence[Line]
) -> Sequence[Sequence[Figure]]:
    """The tables without figures that no line has; all of them where no line has any."""
    kept = [
        [each for each in figures if any(each.of(x) is not None for x in lines)]
        for figures in tables
    ]
    return [figures for figures in kept if figures] or tables


def answer(told: Sequence[Told], found: Settings) -> str:
    """The short answer: for each setting the differences that tell."""
    pairs = [(row, default_of(row), figure) for row, figure in told]
    cells = [["", *(f"`{row}` - `{ground}`: {figure.title}" for row, ground, figure in pairs)]]
    for shared, lines in found.items():
        moves = [moved(compare(lines, *each), each[-1]) for each in pairs]
        if any(moves):
            cells.append([f"{shared.data}, {shared.title}", *(each or MISSING for each in moves)])
    return table(cells) if cells[1:] else f"{MISSING}\n"


def costs(lines: Sequence[Line]) -> dict[tuple[str, str, str, str], dict[str, list[float]]]:
    """Seconds a step of runs that had their machine alone: by data, size, device, machine; row."""
    found: dict[tuple[str, str, str, str], dict[str, list[float]]] = {}
    for line in lines:
        if line["jobs"] == 1 and line["seconds_per_step"]:
            place = (line["data"], line["preset"], line["device"], line["machine"])
            found.setdefault(place, {}).setdefault(line["row"], []).append(line["seconds_per_step"])
    return found


def cost_section(lines: Sequence[Line]) -> str:
    """A table for each machine: what a step of each row takes, beside ALBEF's."""
    said = ""
    for (data, preset, device, machine), rows in costs(lines).items():
        cells = [["row", "runs", "ms a step", "times ALBEF's"]]
        for row in rows_of({"row": name} for name in {*rows, *MAIN}):
            own, ground = rows.get(row), rows.get(ALBEF)
            if own is None:
                cells.append([f"`{row}`", MISSING, "", ""])
                continue
            times = f"{median(own) / median(ground):.2f}" if ground else MISSING
            cells.append([f"`{row}`", str(len(own)), f"{1000 * median(own):,.0f}", times])
        said += f"**{data}**, {preset} on {device} ({machine})\n\n{table(cells)}\n"
    return said or f"{MISSING}\n"


def cost_answer(lines: Sequence[Line]) -> str:
    """How many times ALBEF's step those of the main rows take."""
    cells = [["a step, times ALBEF's", *(f"`{row}`" for row in ADDED)]]
    for (data, preset, device, machine), rows in costs(lines).items():
        if ALBEF in rows:
            ground = median(rows[ALBEF])
            times = [f"{median(rows[x]) / ground:.2f}" if x in rows else MISSING for x in ADDED]
            cells.append([f"{data}, {preset} on {device} ({machine})", *times])
    return table(cells) if cells[1:] else f"{MISSING}\n"


class Verdict(NamedTuple):
    """Where a row is better or worse than what it is judged by, and where neither is shown."""

    row: str
    better: list[str]
    worse: list[str]
    open: list[str]
    better_on: set[str]  # data sets

    @property
    def due(self) -> bool:
        """Whether it is to become the default: one data set alone may be a draw of many."""
        return len(self.better_on) > 1 and not self.worse


def verdicts(found: Settings) -> list[Verdict]:
    """Judge every row by `JUDGED` in every setting that has it."""
    rows = rows_of(line for lines in found.values() for line in lines)
    judged = []
    for row in dict.fromkeys([*ADDED, *rows]):
        verdict = Verdict(row, [], [], [], set())
        for shared, lines in found.items():
            move = compare(lines, row, default_of(row), JUDGED)
            if move is None or row == ALBEF:
                continue
            sided = verdict.better if move.mean > 0 else verdict.worse
            place = sided if move.significant else verdict.open
            if place is verdict.better:
                verdict.better_on.add(shared.data)
            place.append(f"{shared.data} ({shared.title}) {moved(move, JUDGED)}")
        if row != ALBEF:
            judged.append(verdict)
    return judged


def defaults_section(found: Settings) -> str:
    """A table of what was shown to be better or worse, and where."""
    cells = [["row", "judged by", "better", "worse", "neither shown"]]
    for verdict in verdicts(found):
        places = ["<br>".join(each) for each in (verdict.better, verdict.worse, verdict.open)]
        if not any(places):
            places[-1] = MISSING
        cells.append([f"`{verdict.row}`", f"`{default_of(verdict.row)}`", *places])
    return table(cells)


def defaults_answer(found: Settings) -> str:
    """Which rows are to become defaults, which may, and which not."""
    judged = verdicts(found)
    if not any(each.better or each.worse or each.open for each in judged):
        return f"{MISSING}\n"
    sides = {
        "better on two data sets or more, worse on none": [x for x in judged if x.due],
        "better on one, worse on none": [x for x in judged if x.better and not (x.worse or x.due)],
        "worse somewhere and better nowhere": [x for x in judged if x.worse and not x.better],
        "both": [x for x in judged if x.worse and x.better],
        "neither shown": [x for x in judged if not (x.worse or x.better)],
    }
    cells = [["significantly", "rows"]]
    for name, mine in sides.items():
        cells.append([name, ", ".join(f"`{each.row}`" for each in mine) or "none"])
    return table(cells)
