"""Tables of pictures and texts: CSV with a header line, or JSON lines."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from softmask.errors import InputError, first_line

PAIR = ("image", "text")
Row = dict[str, str]


class Pair(NamedTuple):
    """A picture and a text that may belong together."""

    name: str  # of the picture, as it was given
    path: Path
    text: str


def read_pairs(table: Path, images: Path | None) -> list[Pair]:
    """Read a table with the columns image and text.

    Args:
        table: .csv, or .jsonl with an object a line.
        images: folder that picture names are relative to; the table's own unless given.

    Raises:
        InputError: the table cannot be read, or has no row, or one without a picture or text.
    """
    folder = table.parent if images is None else images
    return [
        Pair(row["image"], folder / row["image"], row["text"]) for row in read_rows(table, PAIR)
    ]


def refuse_folder(images: Path | None) -> None:
    """Refuse a folder for a table's pictures where no table is given.

    Raises:
        InputError: it is given.
    """
    if images is not None:
        raise InputError(
            f"--images {images} is where a table's pictures lie, and no table is given: leave it "
            f"out, or give the picture with its folder."
        )


def read_rows(table: Path, columns: Sequence[str]) -> list[Row]:
    """Read the columns of a table, each row with something in each of them.

    Args:
        table: .csv, or .jsonl with an object a line.
        columns: that must be there.

    Raises:
        InputError: the table cannot be read, has no row, or lacks a column or a value.
    """
    rows = []
    for line, row in _rows(table):
        lacks = [name for name in columns if name not in row]
        if lacks:
            there = ", ".join(str(name) for name in row if name) or "none"
            raise InputError(
                f"{table} has no column '{lacks[0]}' in line {line}, whose columns are {there}: "
                f"give {' and '.join(columns)}."
            )
        for name in columns:
            if not isinstance(row[name], str) or not str(row[name]).strip():
                raise InputError(
                    f"The {name} in line {line} of {table} is {row[name]!r}: give a text, or "
                    f"remove the line."
                )
        rows.append({name: str(row[name]) for name in columns})
    if not rows:
        raise InputError(f"{table} has no rows: give at least one below the line of columns.")
    return rows


def columns_of(table: Path) -> list[str]:
    """Name the columns of the first row.

    Raises:
        InputError: the table cannot be read, or has no row.
    """
    first = next(_rows(table), None)
    if first is None:
        raise InputError(f"{table} has no rows: give at least one below the line of columns.")
    return [str(name) for name in first[1] if name]


def _rows(table: Path) -> Iterator[tuple[int, dict[str, object]]]:
    if table.suffix not in (".csv", ".jsonl"):
        raise InputError(f"'{table}' is neither .csv nor .jsonl: give one of them.")
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            if table.suffix == ".csv":
                reader = csv.DictReader(lines)
                for row in reader:
                    yield reader.line_num, row
            else:
                yield from _objects(lines, table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"The table '{table}' cannot be read ({first_line(error)}): correct the path, and give "
            f"UTF-8."
        ) from error


def _objects(lines: Iterator[str], table: Path) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            raise InputError(
                f"Line {number} of {table} is no JSON ({first_line(error)}): give an object a line."
            ) from error
        if not isinstance(found, dict):
            raise InputError(f"Line {number} of {table} is no JSON object: give one a line.")
        yield number, found
