"""Writes the lines of the ablation, docs/results/<data>.jsonl, into results.md, and its pictures.

    make results

What has no line is called not measured. Pictures are docs/results/*.svg, all of them made here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fill_readme import between

from benchmarks.again import AGAIN, again_section
from benchmarks.chosen import CHOICES, choices_answer, choices_section
from benchmarks.compared import (
    ADDED,
    MISSING,
    RECALL,
    RETRIEVAL,
    Setting,
    compare,
    default_of,
    differences_table,
    means_table,
    rows_of,
    settings,
)
from benchmarks.lines import Line, read_lines
from benchmarks.paying import TIME, time_answer, time_section
from benchmarks.plotted import pictures
from benchmarks.questions import (
    COST,
    DEFAULTS,
    QUESTIONS,
    TOGETHER,
    answer,
    cost_answer,
    cost_section,
    defaults_answer,
    defaults_section,
    section,
)
from benchmarks.rows import ALBEF, MAIN

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"
DATA = ("emoji", "scenes", "photos")
Records = Mapping[str, Sequence[Line]]


def made(page: str, records: Records, again: Sequence[Line] = ()) -> tuple[str, dict[str, str]]:
    """Put the records between the marks of the page.

    Args:
        page: results.md.
        records: lines by data.
        again: lines of runs that were run again.

    Returns:
        The page, and pictures by the name of their file.
    """
    found = {data: settings(records.get(data, ())) for data in DATA}
    ideas = {data: {x: y for x, y in found[data].items() if ALBEF in rows_of(y)} for data in DATA}
    drawn = {data: pictures(ideas[data], records.get(data, ())) for data in DATA}
    for data in DATA:
        said = [compared(*each, drawn[data][each[0]]) for each in ideas[data].items()]
        page = between(page, data, "\n".join(said) or f"{MISSING}\n")
    every = {shared: lines for each in found.values() for shared, lines in each.items()}
    lines = [line for data in DATA for line in records.get(data, ())]
    for question in QUESTIONS:
        page = between(page, question.name, section(question, every))
    page = between(page, COST, cost_section(lines))
    page = between(page, TIME, time_section(every, lines))
    page = between(page, CHOICES, choices_section(every))
    page = between(page, DEFAULTS, defaults_section(every))
    page = between(page, AGAIN, again_section(again, lines))
    page = between(page, "answers", answers(every, lines))
    files = [each for shared in drawn.values() for each in shared.values()]
    return page, {name: svg for each in files for name, svg in each.items()}


def compared(shared: Setting, lines: Sequence[Line], drawn: Mapping[str, str]) -> str:
    """All that retrieval says of a setting's ideas: means, differences, pictures, machines."""
    rows = [*MAIN, *(x for x in rows_of(lines) if x not in MAIN and default_of(x) == ALBEF)]
    pairs = {row: ALBEF for row in rows if row != ALBEF}
    said = (
        f"### {shared.data.capitalize()}: {shared.title}\n\n"
        f"{means_table(lines, rows, RETRIEVAL)}\n{differences_table(lines, pairs, RETRIEVAL)}\n"
        f"{significant(lines, pairs)}\n\n"
    )
    for name in drawn:
        said += f"![{name.removesuffix('.svg')}](results/{name})\n"
    return f"{said}\n{where(lines)}\n"


def significant(lines: Sequence[Line], pairs: Mapping[str, str]) -> str:
    """Which rows differ from ALBEF, in words."""
    moves = {row: compare(lines, row, ground, RECALL) for row, ground in pairs.items()}
    known = {row: move for row, move in moves.items() if move}
    better = [f"`{row}`" for row, move in known.items() if move.significant and move.mean > 0]
    worse = [f"`{row}`" for row, move in known.items() if move.significant and move.mean < 0]
    missing = [f"`{row}`" for row in ADDED if row not in known]
    said = f"By {RECALL.title}, significantly better than ALBEF: {', '.join(better) or 'none'}; "
    said += f"worse: {', '.join(worse) or 'none'}"
    return f"{said}; {MISSING}: {', '.join(missing)}." if missing else f"{said}."


def where(lines: Sequence[Line]) -> str:
    """On what, and by which code."""
    machines, torches, commits = (
        ", ".join(sorted({str(line[key]) for line in lines}))
        for key in ("machine", "torch", "commit")
    )
    return f"On {machines}; torch {torches}; commits {commits}."


def answers(found: Mapping[Setting, Sequence[Line]], lines: Sequence[Line]) -> str:
    """The questions, what was found in short, and where all of it stands."""
    said = [
        ("Does each idea help, alone and together?", answer(TOGETHER, found), DATA),
        *((each.asked, answer(each.told, found), (each.name,)) for each in QUESTIONS),
        ("What does each idea cost in time?", cost_answer(lines), (COST,)),
        ("Does it pay, and how cheap must it be?", time_answer(found, lines), (TIME,)),
        ("What do choices within ideas do to them?", choices_answer(found), (CHOICES,)),
        ("Which defaults follow?", defaults_answer(found), (DEFAULTS,)),
    ]
    return "\n".join(
        f"**{asked}** More: {', '.join(f'[{each}](#{each})' for each in places)}.\n\n{short}"
        for asked, short, places in said
    )


def read_records(folder: Path = RESULTS) -> dict[str, list[Line]]:
    """All lines that are there, by data."""
    return {data: read_lines(folder / f"{data}.jsonl") for data in DATA}


def read_again() -> list[Line]:
    """Those of runs that were run again."""
    return [line for lines in read_records(RESULTS / AGAIN).values() for line in lines]


if __name__ == "__main__":
    path = ROOT / "docs" / "results.md"
    text, files = made(path.read_text(encoding="utf-8"), read_records(), read_again())
    path.write_text(text, encoding="utf-8")
    for old in RESULTS.glob("*.svg"):
        old.unlink()
    for name, svg in files.items():
        (RESULTS / name).write_text(svg, encoding="utf-8")
