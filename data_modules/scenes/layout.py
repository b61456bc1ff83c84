"""Where the things of a scene are."""

import random
from collections.abc import Callable, Sequence

from data_modules.scenes.geometry import SIDES, Box, relations, shared

OVERLAP = 0.08
"""Most of the smaller box that another may cover."""

TRIES = 20_000
THROWS = 20  # places tried for one thing before all are thrown anew
PANEL = 0.32  # of the side: the depth of a curtain along a side
CURTAINS = (*SIDES, "corner")
CORNER = 0.46  # of the side: of a curtain in a corner

Where = Callable[[Sequence[Box]], bool]
"""Whether boxes, in the order of the things, are as wanted."""


def anywhere(boxes: Sequence[Box]) -> bool:  # noqa: ARG001 (a Where)
    """Accept all."""
    return True


def lay_out(
    draw: random.Random,
    ratios: Sequence[float],
    *,
    size: int,
    scale: tuple[float, float],
    curtain: Box | None = None,
    where: Where = anywhere,
) -> list[Box]:
    """Place things: inside, hardly overlapping, off the curtain, each clearly beside each other.

    Args:
        draw: decides.
        ratios: width over height of each drawing.
        size: side of the picture in pixels.
        scale: least and most of a thing's longer side, as shares of the picture's.
        curtain: what no thing may touch.
        where: whether the places are as wanted.

    Returns:
        A box for each thing.
    """
    for _ in range(TRIES):
        boxes = _throw(draw, ratios, size, scale, curtain)
        if boxes is not None and where(boxes):
            return boxes
    raise AssertionError(f"no place for {len(ratios)} things, curtain {curtain}")


def curtain_box(draw: random.Random, side: str, size: int) -> Box:
    """Give the box of a curtain.

    Args:
        draw: decides on the corner.
        side: one of CURTAINS.
        size: side of the picture.
    """
    deep = round(PANEL * size)
    if side == "corner":
        deep = round(CORNER * size)
        return Box(draw.choice((0, size - deep)), draw.choice((0, size - deep)), deep, deep)
    if side in ("left", "right"):
        return Box(0 if side == "left" else size - deep, 0, deep, size)
    return Box(0, 0 if side == "top" else size - deep, size, deep)


def _throw(
    draw: random.Random,
    ratios: Sequence[float],
    size: int,
    scale: tuple[float, float],
    curtain: Box | None,
) -> list[Box] | None:
    boxes: list[Box] = []
    for ratio in ratios:
        longer = draw.uniform(*scale) * size
        w, h = round(longer * min(ratio, 1)), round(longer / max(ratio, 1))
        for _ in range(THROWS):
            # Not randint, which takes five times as long.
            x, y = draw.random() * (size - w - 1), draw.random() * (size - h - 1)
            box = Box(1 + int(x), 1 + int(y), w, h)
            if _fits(box, boxes, size, curtain):
                boxes.append(box)
                break
        else:
            return None
    return boxes


def _fits(box: Box, boxes: Sequence[Box], size: int, curtain: Box | None) -> bool:
    if curtain is not None and shared(box, curtain):
        return False
    return all(
        shared(box, other) <= OVERLAP * min(box.w * box.h, other.w * other.h)
        and relations(box, other, size)
        for other in boxes
    )
