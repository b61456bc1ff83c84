"""What every reader of annotations gives: a picture and its captions."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from softmask.errors import InputError

Value = TypeVar("Value")


class Stored(NamedTuple):
    """Where a picture's bytes lie when it is no file of its own."""

    file: Path
    offset: int
    size: int


@dataclass
class Group:
    """A picture and all that its annotations say of it.

    Args:
        image: the picture's file name.
        captions: at least one.
        split: if the annotations give one.
        meta: other columns.
        image_id: what equal pictures have in common; None takes the file name.
        stored: where the bytes lie; None is the file of that name in the folder of pictures.
        second: file name of the picture on the right, when the text is about two.
        apart: a sample of its own beside others of its picture: a question, not one more caption.
    """

    image: str
    captions: list[str]
    split: str | None
    meta: dict[str, object] = field(default_factory=dict)
    image_id: str | None = None
    stored: Stored | None = None
    second: str | None = None
    apart: bool = False


Rows = Iterator[tuple[str, Group]]
"""Rows of annotations, each with its place for an error: "Row 3 of a.csv"."""


def merge(rows: Iterable[tuple[str, Group]]) -> list[Group]:
    """Join the rows of each picture, but for those that stay apart.

    Further columns are those of a picture's first row; it says how many rows differ in them.

    Args:
        rows: with their places.

    Returns:
        One group for each picture or row apart, in the order of their first rows.

    Raises:
        InputError: if a picture is in two splits.
    """
    groups: dict[str | int, Group] = {}
    differing = []
    for number, (place, group) in enumerate(rows):
        known = groups.setdefault(number if group.apart else group.image, group)
        if known is group:
            continue
        if known.split != group.split:
            raise InputError(
                f"{place} puts {group.image!r} into the split {group.split!r} but an earlier row "
                f"into {known.split!r}: keep each picture in one split."
            )
        if (known.meta, known.image_id) != (group.meta, group.image_id):
            differing.append(place)
        known.captions += [text for text in group.captions if text not in known.captions]
    if differing:
        print(
            f"{differing[0]} differs in further columns from the first row of its picture, whose "
            f"columns are kept; {len(differing)} rows do so"
        )
    return list(groups.values())


def check_captions(captions: object, place: str) -> list[str]:
    """Give a row's captions.

    Raises:
        InputError: if they are no list of texts, or one is empty.
    """
    given = captions if isinstance(captions, list) else [captions]
    if odd := [each for each in given if each is not None and not isinstance(each, str)]:
        raise InputError(
            f"{place} has the caption {odd[0]!r:.80} of the type {type(odd[0]).__name__}: give a "
            "text, or remove the row."
        )
    if not isinstance(captions, list) or not captions or not all(map(is_text, captions)):
        raise InputError(f"{place} has an empty caption: fill it in or remove the row.")
    return list(captions)


def by_id(rows: Iterable[tuple[object, Value]], what: str) -> dict[object, Value]:
    """Give rows by their ids; one that is there again in the same words counts once.

    Args:
        rows: ids with what they stand for.
        what: the rows are, and of which file, for an error.

    Raises:
        InputError: an id stands for two things, or can be none.
    """
    found: dict[object, Value] = {}
    for number, value in rows:
        if not isinstance(number, int | str):
            raise InputError(f"{what} have the id {number!r:.80}: give each a number.")
        if found.setdefault(number, value) != value:
            raise InputError(
                f"{what} have the id {number!r} twice, for different things: nobody knows which of "
                f"them is meant, so mend the file."
            )
    return found


def visible(folder: Path) -> list[Path]:
    """List what lies in a folder, but for hidden names: macOS puts ._a.jpg beside a.jpg."""
    return sorted(place for place in folder.iterdir() if not place.name.startswith("."))


def is_text(value: object) -> bool:
    """Whether a value is a text with something in it."""
    return isinstance(value, str) and bool(value.strip())


def load_json(file: Path) -> object:
    """Read a JSON file.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read ({error}): give whole JSON in UTF-8.") from error
