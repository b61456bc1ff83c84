"""Boxes, and what can be said of their places.

Places are clear or nothing is said of them: between "left" and "not left" lies a margin in which
people would disagree, and no text relies on it.
"""

from typing import NamedTuple

CLEAR = 0.18
"""Share of the picture's side by which centres differ where a text says so."""

FAINT = 0.04
"""Share up to which a thing is surely on neither side of another."""

RELATIONS = ("left", "right", "above", "below")
SIDES = ("left", "right", "top", "bottom")

OPPOSITE = {
    "left": "right",
    "right": "left",
    "above": "below",
    "below": "above",
    "top": "bottom",
    "bottom": "top",
}


class Box(NamedTuple):
    """A rectangle in pixels: its left upper corner, width and height."""

    x: int
    y: int
    w: int
    h: int


def relations(one: Box, other: Box, size: int, share: float = CLEAR) -> set[str]:
    """Say where a thing is as seen from another.

    Args:
        one: the thing.
        other: what it is left of, or above, and so on.
        size: side of the picture.
        share: of the side, by which the centres must differ.

    Returns:
        None, one or two of RELATIONS.
    """
    (x, y), (u, v) = _centre(one), _centre(other)
    far = share * size
    gaps = {"left": u - x, "right": x - u, "above": v - y, "below": y - v}
    return {relation for relation, gap in gaps.items() if gap >= far}


def sides(box: Box, size: int) -> set[str]:
    """Say at which sides of the picture a thing is: none, one or two of SIDES."""
    x, y = _centre(box)
    right, down = x - size / 2, y - size / 2
    gaps = {"left": -right, "right": right, "top": -down, "bottom": down}
    return {side for side, gap in gaps.items() if gap >= CLEAR * size}


def only_side(box: Box, size: int) -> str | None:
    """Name the side of the picture at whose middle a thing is, if it is at one."""
    x, y = _centre(box)
    across, down = abs(x - size / 2), abs(y - size / 2)
    found = sides(box, size)
    if len(found) == 1 and 2 * min(across, down) <= max(across, down):
        return found.pop()
    return None


def shared(one: Box, other: Box) -> int:
    """Give the area of two boxes' overlap, in pixels."""
    across = min(one.x + one.w, other.x + other.w) - max(one.x, other.x)
    down = min(one.y + one.h, other.y + other.h) - max(one.y, other.y)
    return max(across, 0) * max(down, 0)


def _centre(box: Box) -> tuple[float, float]:
    return box.x + box.w / 2, box.y + box.h / 2
