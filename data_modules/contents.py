"""What a sample holds: its picture, its captions, its notes, or the reason why it is bad.

Only pictures, txt and json are ever read: a pickled column is bytes that nobody opens.
"""

import json
from collections.abc import Collection
from typing import NamedTuple

from data_modules.decode import Pixels, decode
from data_modules.reasons import BadSample, Reason
from data_modules.shards import Sample

IMAGES = ("jpg", "jpeg", "png", "webp", "gif")
LEFT, RIGHT = "left", "right"
"""Columns of two pictures begin with these: left.jpg, right.jpg."""
MAX_CAPTION = 1 << 20
"""Bytes: what is longer is another file under a wrong name."""


class Contents(NamedTuple):
    """A good sample: its picture is still encoded."""

    image: bytes
    captions: list[str]  # one or more, each with something to read
    meta: dict[str, object]


def contents(sample: Sample) -> Contents:
    """Give what a sample holds.

    Raises:
        BadSample: if its picture is missing, or its captions or notes cannot be read.
    """
    image, notes = encoded(sample), meta(sample)
    return Contents(image, _captions(sample, notes), notes)


def encoded(sample: Sample) -> bytes:
    """Give a sample's picture as stored.

    Raises:
        BadSample: if it has none, or several.
    """
    found = [column for column in IMAGES if column in sample.columns]
    if len(found) == 1:
        return sample.columns[found[0]]
    if found:
        # Which of them the caption describes, nobody knows: one may be a mask or a depth map.
        raise BadSample(Reason.MANY_PICTURES, f"has {len(found)} pictures: {', '.join(found)}")
    two = _given(sample.columns)
    if len(two) == 2:
        detail = f"has two pictures, {' and '.join(two)}, of which this task reads one"
        raise BadSample(Reason.MANY_PICTURES, detail)
    dotted = [column for column in sample.columns if column.rpartition(".")[2] in IMAGES]
    if dotted:
        raise BadSample(
            Reason.DOTTED_KEY, f"has a dot in its name, so that its picture is {dotted[0]!r}"
        )
    raise BadSample(Reason.MISSING_PICTURE, f"has no picture but {_names(sample)}")


def sides(sample: Sample) -> tuple[bytes, bytes]:
    """Give the left and the right picture of a sample of two, as stored.

    Raises:
        BadSample: if one is missing, or there are several for a side.
    """
    return _side(sample, LEFT), _side(sample, RIGHT)


def pictures(sample: Sample) -> list[bytes]:
    """Give all pictures of a sample as stored: its only one, or the left and the right one.

    Raises:
        BadSample: if one is missing, or there are several for a place.
    """
    return list(sides(sample)) if is_of_two(sample.columns) else [encoded(sample)]


def is_of_two(columns: Collection[str]) -> bool:
    """Tell whether a sample is about two pictures, of which one may be missing."""
    two = _given(columns)
    # A key that ends in ".left" puts that before its text too.
    return len(two) == 2 or (len(two) == 1 and "txt" in columns)


def _given(columns: Collection[str]) -> list[str]:
    """Name the sides that have a picture."""
    return [side for side in (LEFT, RIGHT) if any(f"{side}.{k}" in columns for k in IMAGES)]


def _side(sample: Sample, side: str) -> bytes:
    found = [f"{side}.{kind}" for kind in IMAGES if f"{side}.{kind}" in sample.columns]
    if len(found) == 1:
        return sample.columns[found[0]]
    reason = Reason.MANY_PICTURES if found else Reason.MISSING_PICTURE
    have = ", ".join(found) if found else f"no {side} picture but {_names(sample)}"
    raise BadSample(reason, f"has {have}")


def picture(sample: Sample) -> Pixels:
    """Decode a sample's picture, (H, W, 3).

    Raises:
        BadSample: if it has none, or it cannot be decoded.
    """
    return decode(encoded(sample))


def captions(sample: Sample) -> list[str]:
    """Give a sample's captions: "captions" of its json, else its txt; empty ones are left out.

    Raises:
        BadSample: if none is left, or they cannot be read.
    """
    return _captions(sample, meta(sample))


def task_text(sample: Sample) -> str:
    """Give the text a task is about, a question or a statement: the txt, else the first caption.

    Tars from elsewhere may have their picture's captions in the json beside it.

    Raises:
        BadSample: if there is none, it is empty, or it cannot be read.
    """
    if "txt" not in sample.columns:
        return captions(sample)[0]
    return _kept([_text(sample)])[0]


def meta(sample: Sample) -> dict[str, object]:
    """Give a sample's json, empty if it has none.

    Raises:
        BadSample: if it is no json object.
    """
    try:
        found = json.loads(sample.columns.get("json", b"{}"))
    except (ValueError, RecursionError) as error:
        raise BadSample(Reason.BAD_JSON, f"has a json that cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise BadSample(Reason.BAD_JSON, "has a json that is no object")
    return found


def source(sample: Sample) -> str:
    """Name a sample for an error."""
    return f"sample {sample.key!r} of {sample.shard}"


def _captions(sample: Sample, notes: dict[str, object]) -> list[str]:
    found = notes.get("captions")
    if not (isinstance(found, list) and found and all(isinstance(text, str) for text in found)):
        found = [_text(sample)]
    return _kept(found)


def _kept(found: list[str]) -> list[str]:
    kept = [text for text in found if text.strip()]
    if not kept:
        raise BadSample(Reason.EMPTY_CAPTION, "has an empty caption")
    return kept


def _text(sample: Sample) -> str:
    data = sample.columns.get("txt")
    if data is None:
        raise BadSample(Reason.MISSING_CAPTION, f"has no caption but {_names(sample)}")
    if len(data) > MAX_CAPTION:
        raise BadSample(Reason.LONG_CAPTION, f"has a caption of {len(data)} bytes")
    # UTF-16 without its mark is valid UTF-8 with a zero beside each letter.
    if 4 * data.count(0) > len(data):
        raise BadSample(Reason.BAD_UTF8, "has a caption full of zeros: it may be UTF-16")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadSample(Reason.BAD_UTF8, f"has a caption that is no UTF-8 ({error})") from error


def _names(sample: Sample) -> str:
    return ", ".join(sorted(sample.columns)) or "nothing"
