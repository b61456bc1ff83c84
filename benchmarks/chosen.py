"""Choices within ideas, on the page of results: each beside the idea as it is, and beside ALBEF."""

from collections.abc import Sequence

from benchmarks.compared import (
    JUDGED,
    MISSING,
    RECALL,
    RETRIEVAL,
    compare,
    default_of,
    differences_table,
    means_table,
    moved,
    rows_of,
    table,
)
from benchmarks.lines import Line
from benchmarks.questions import Settings
from benchmarks.rows import ALBEF

CHOICES = "choices"
"""The section."""
FIGURES = (*RETRIEVAL, JUDGED)


def choices_of(lines: Sequence[Line]) -> dict[str, str]:
    """What choices some runs have, each with its idea."""
    return {row: idea for row in rows_of(lines) if (idea := default_of(row)) != ALBEF}


def choices_section(found: Settings) -> str:
    """For each setting that has choices: means, differences to the ideas, and those to ALBEF."""
    said = ""
    for shared, lines in found.items():
        ideas = choices_of(lines)
        if not ideas:
            continue
        rows = rows_of({"row": row} for row in {*ideas, *ideas.values()})
        said += (
            f"**{shared.data}**, {shared.title}\n\n{means_table(lines, rows, FIGURES)}\n"
            f"{differences_table(lines, ideas, FIGURES)}\n"
            f"{differences_table(lines, dict.fromkeys(ideas, ALBEF), FIGURES)}\n"
        )
    return said or f"{MISSING}\n"


def choices_answer(found: Settings) -> str:
    """What each choice does to the idea it is of: a choice a line, a setting a column."""
    moves = {
        shared: {
            row: moved(compare(lines, row, idea, RECALL), RECALL)
            for row, idea in choices_of(lines).items()
        }
        for shared, lines in found.items()
    }
    moves = {shared: each for shared, each in moves.items() if any(each.values())}
    rows = rows_of({"row": row} for each in moves.values() for row in each)
    cells = [["", *(f"{shared.data}, {shared.title}" for shared in moves)]]
    for row in rows:
        cells.append([f"`{row}` - `{default_of(row)}`"])
        cells[-1] += [each.get(row) or MISSING for each in moves.values()]
    return table(cells) if rows else f"{MISSING}\n"
