"""What the json of a grounding sample says: the box that is meant, the picture's size, detections.

Boxes are x, y, width and height in pixels of the original picture, as COCO writes them.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_modules.reasons import BadSample, Reason

Boxes = NDArray[np.float32]

EDGE = 1.0
"""Pixels that a box may reach beyond the picture: COCO's are rounded."""
MAX_SIDE = 2**31
"""Numbers from here on are no pixels, and as whole numbers of JSON may be too large for a float."""
MAX_SPLIT = 32
"""Letters in the name of a part of the data."""
SAME_SHAPE = 0.01
"""Sides may differ by this share, and by a pixel, where a picture was stored smaller."""


class Marked(NamedTuple):
    """What the json says."""

    box: Boxes  # (4,), NaN if it says none
    size: tuple[int, int]  # width and height of the original
    detections: Boxes  # (K, 4)
    split: str  # "" if it says none


def marked(notes: Mapping[str, object], stored: tuple[int, int]) -> Marked:
    """Read the json of a sample.

    Args:
        notes: the json.
        stored: width and height of the picture as it is.

    Raises:
        BadSample: a box lies outside the picture, or has no area, or the size is another's.
    """
    size = _size(notes, stored)
    said = notes.get("detections") or []
    if not isinstance(said, list):
        raise BadSample(Reason.BAD_BOX, f"has detections that are no list: {said!r:.80}")
    found = [_box(one, size, f"detection {number}") for number, one in enumerate(said, 1)]
    box = [math.nan] * 4 if notes.get("box") is None else _box(notes["box"], size, "box")
    split = notes.get("split", "")
    if not isinstance(split, str) or not split.isascii() or len(split) > MAX_SPLIT:
        raise BadSample(
            Reason.BAD_JSON, f"has the split {split!r:.80}: up to {MAX_SPLIT} letters are a name"
        )
    rows = np.array(found, np.float32).reshape(-1, 4)
    return Marked(np.array(box, np.float32), size, rows, split)


def _size(notes: Mapping[str, object], stored: tuple[int, int]) -> tuple[int, int]:
    said = notes.get("size")
    if said is None and not {"box", "detections"} & notes.keys():
        return stored
    if not isinstance(said, list) or len(said) != 2 or not all(map(_is_whole, said)):
        raise BadSample(
            Reason.BAD_BOX, f"says {said!r:.80} where the original's [width, height] is needed"
        )
    width, height = said
    if min(said) < 1 or abs(stored[0] - width * stored[1] / height) > 1 + SAME_SHAPE * stored[0]:
        raise BadSample(
            Reason.BAD_BOX,
            f"has a picture of {stored[0]} x {stored[1]} pixels whose original is said to have "
            f"{width} x {height}: another shape",
        )
    return width, height


def _box(said: object, size: tuple[int, int], name: str) -> list[float]:
    """Give a box; what follows its four numbers, such as a detector's score, is left out."""
    numbers = said[:4] if isinstance(said, list) else []
    if len(numbers) < 4 or not all(map(_is_pixels, numbers)):
        raise BadSample(Reason.BAD_BOX, f"has the {name} {said!r:.80}: no [x, y, width, height]")
    x, y, width, height = map(float, numbers)
    if width <= 0 or height <= 0:
        raise BadSample(Reason.BAD_BOX, f"has the {name} {said!r:.80} without an area")
    if min(x, y) < -EDGE or x + width > size[0] + EDGE or y + height > size[1] + EDGE:
        raise BadSample(
            Reason.BAD_BOX,
            f"has the {name} {said!r:.80} outside its picture of {size[0]} x {size[1]} pixels",
        )
    return [x, y, width, height]


def _is_whole(number: object) -> bool:
    return type(number) is int and abs(number) < MAX_SIDE


def _is_pixels(number: object) -> bool:
    # Not a number is not below anything.
    return _is_whole(number) or (type(number) is float and abs(number) < MAX_SIDE)
