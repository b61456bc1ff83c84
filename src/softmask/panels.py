"""Maps as pictures: where a word looks and what is left without it, or what an expression means.

H x W pixels, P = rows x columns patches.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from softmask.lettering import Coloured, lettering

Pixels = NDArray[np.uint8]
Shares = Sequence[float]

SIDE = 192
MARGIN = 12
LINE = 22
LETTERS = 15
INK, PALE_INK, RED, GREEN = "#333333", "#666666", "#c0202a", "#1f8f3a"


class Row(NamedTuple):
    """One sample of a panel of soft masks."""

    image: Pixels  # (H, W, 3)
    before: str  # caption up to the chosen word
    word: str
    after: str  # caption behind it
    patches: Tensor  # (rows, columns) in 0..1
    plain: float  # match probability of the picture
    masked: float  # match probability of the masked picture
    hidden: Tensor | None = None  # (rows, columns) in 0..1, a map by hiding


class Grounded(NamedTuple):
    """One sample of a panel of grounding; boxes and point in shares of the picture's sides."""

    image: Pixels  # (H, W, 3)
    expression: str
    patches: Tensor  # (rows, columns) in 0..1
    point: Shares  # x, y of the map's largest value
    box: Shares  # x, y, width, height of what is meant
    best: Shares | None  # the chosen box, if there were any
    iou: float | None  # of both


class _Line(NamedTuple):
    """One sample as it is drawn: pictures, coloured words below, a note below them."""

    pictures: tuple[Image.Image, ...]
    words: tuple[Coloured, Coloured, Coloured]  # the middle one is what the others stand around
    note: str


def panel(rows: Sequence[Row]) -> Pixels:
    """Draw soft masks, samples below each other; maps by hiding beside them where rows have them.

    Args:
        rows: at least one, all with a map by hiding or none.

    Returns:
        (height, width, 3).
    """
    titles = ["picture", "where the word looks", "softly masked"]
    if rows[0].hidden is not None:
        titles.append("where hiding costs it")
    return _sheet(titles, [*map(_soft_line, rows)])


def grounding_panel(rows: Sequence[Grounded]) -> Pixels:
    """Draw what expressions mean (green) and where their maps point (red), below each other.

    Args:
        rows: at least one.

    Returns:
        (height, width, 3).
    """
    return _sheet(("meant", "where the words look"), [*map(_grounded_line, rows)])


def said_of_masks(rows: Sequence[Row]) -> str:
    """A panel of soft masks in words."""
    lines = (
        f"{row.before} [{row.word}] {row.after}: match {row.plain:.2f}, masked {row.masked:.2f}"
        for row in rows
    )
    return f"Where the word in brackets looks. {'. '.join(map(str.strip, lines))}."


def said_of_boxes(rows: Sequence[Grounded]) -> str:
    """A panel of grounding in words."""
    lines = (
        row.expression if row.iou is None else f"{row.expression}: overlap {row.iou:.2f}"
        for row in rows
    )
    return f"What is meant in green, the chosen box in red. {'. '.join(map(str.strip, lines))}."


def _soft_line(row: Row) -> _Line:
    picture, heat = _square(row.image), _enlarge(row.patches)
    words = ((row.before, INK), (row.word, RED), (row.after, INK))
    note = f"match {row.plain:.2f}, masked {row.masked:.2f}"
    shown = [picture, _overlay(picture, heat), _fade(picture, heat)]
    if row.hidden is not None:
        shown.append(_overlay(picture, _enlarge(row.hidden)))
    return _Line(tuple(shown), words, note)


def _grounded_line(row: Grounded) -> _Line:
    picture = _square(row.image)
    shown = picture.copy(), _overlay(picture, _enlarge(row.patches))
    for place in shown:
        ImageDraw.Draw(place).rectangle(_corners(row.box), outline=GREEN, width=2)
    draw = ImageDraw.Draw(shown[1])
    if row.best is not None:
        draw.rectangle(_corners(row.best), outline=RED, width=2)
    x, y = (SIDE * share for share in row.point)
    draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=RED, outline="white")
    note = "" if row.iou is None else f"chosen box overlaps by {row.iou:.2f}"
    return _Line(shown, (("", INK), (row.expression, INK), ("", INK)), note)


def _sheet(titles: Sequence[str], lines: Sequence[_Line]) -> Pixels:
    width = len(titles) * (SIDE + MARGIN) + MARGIN
    height = LINE + MARGIN + len(lines) * (SIDE + 2 * LINE + MARGIN)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    own = lettering("", LETTERS).font
    for column, title in enumerate(titles):
        draw.text((_left(column), MARGIN // 2), title, fill=PALE_INK, font=own)
    for index, line in enumerate(lines):
        _draw_line(sheet, draw, line, LINE + MARGIN + index * (SIDE + 2 * LINE + MARGIN))
    return np.asarray(sheet)


def _draw_line(sheet: Image.Image, draw: ImageDraw.ImageDraw, line: _Line, top: int) -> None:
    for column, shown in enumerate(line.pictures):
        sheet.paste(shown, (_left(column), top))
        draw.rectangle(
            (_left(column) - 1, top - 1, _left(column) + SIDE, top + SIDE), outline="#cccccc"
        )
    left, below = float(_left(0)), top + SIDE + 3
    letters = lettering("".join(text for text, _ in line.words), LETTERS)
    for text, colour in letters.around(line.words, sheet.width - 2 * MARGIN):
        if text:
            draw.text((left, below), letters.of(text), fill=colour, font=letters.font)
            left += letters.width(text + " ")
    own = lettering("", LETTERS).font
    draw.text((_left(0), below + LINE - 4), line.note, fill=PALE_INK, font=own)


def _square(image: Pixels) -> Image.Image:
    return Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _corners(box: Shares) -> tuple[float, float, float, float]:
    """Left, top, right, bottom on a drawn picture."""
    x, y, width, height = (SIDE * share for share in box)
    # A box of the last pixels would begin beyond where it ends.
    left, top, right, bottom = (min(each, SIDE - 1) for each in (x, y, x + width, y + height))
    return left, top, right, bottom


def _left(column: int) -> int:
    return MARGIN + column * (SIDE + MARGIN)


def overlay(picture: Image.Image, patches: Tensor) -> Image.Image:
    """A warm glow where a map (rows, columns) is high, the rest pale, as large as the picture."""
    return _overlay(picture, _enlarge(patches, picture.size))


def glow(patches: Tensor, size: tuple[int, int]) -> Image.Image:
    """What `overlay` lays on a picture, apart from it: RGBA of a width and a height."""
    heat = _enlarge(patches, size)
    kept = 0.5 * (1 - 0.75 * heat)  # of the picture
    added = 127 * (1 - 0.75 * heat) + 0.75 * heat * _warm(heat)
    layer = np.concatenate([added / (1 - kept), 255 * (1 - kept)], axis=2)
    return Image.fromarray(layer.round().astype(np.uint8))


def _enlarge(patches: Tensor, size: tuple[int, int] = (SIDE, SIDE)) -> NDArray[np.float32]:
    small = Image.fromarray(patches.float().cpu().numpy().astype(np.float32), mode="F")
    large = np.asarray(small.resize(size, Image.Resampling.BILINEAR))
    return large.clip(0, 1)[..., None].astype(np.float32)


def _overlay(picture: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """A warm glow where the word looks, the rest pale."""
    pale = np.asarray(picture, dtype=np.float32) * 0.5 + 127
    return Image.fromarray((pale * (1 - 0.75 * heat) + _warm(heat) * 0.75 * heat).astype(np.uint8))


def _warm(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Yellow to red, (H, W, 3)."""
    return np.concatenate([np.full_like(heat, 230), 200 * (1 - heat), 40 * (1 - heat)], axis=2)


def _fade(picture: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """Toward gray where features are faded; the model fades features, not pixels."""
    kept = np.asarray(picture, dtype=np.float32) * (1 - heat) + 128 * heat
    return Image.fromarray(kept.astype(np.uint8))
