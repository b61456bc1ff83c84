"""Soft masks as pictures: the image, where a word looks, and what is left without it.

H x W pixels, P = rows x columns patches.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Pixels = NDArray[np.uint8]

SIDE = 192
MARGIN = 12
LINE = 22
TITLES = ("picture", "where the word looks", "softly masked")


class Row(NamedTuple):
    """One sample of a panel."""

    image: Pixels  # (H, W, 3)
    before: str  # caption up to the chosen word
    word: str
    after: str  # caption behind it
    patches: Tensor  # (rows, columns) in 0..1
    plain: float  # match probability of the picture
    masked: float  # match probability of the masked picture


def panel(rows: Sequence[Row]) -> Pixels:
    """Draw samples below each other.

    Args:
        rows: at least one.

    Returns:
        (height, width, 3).
    """
    width = 3 * SIDE + 4 * MARGIN
    height = LINE + MARGIN + len(rows) * (SIDE + 2 * LINE + MARGIN)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=15)
    for column, title in enumerate(TITLES):
        draw.text((_left(column), MARGIN // 2), title, fill="#666666", font=font)
    for index, row in enumerate(rows):
        _draw_row(sheet, draw, font, row, LINE + MARGIN + index * (SIDE + 2 * LINE + MARGIN))
    return np.asarray(sheet)


def _draw_row(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    row: Row,
    top: int,
) -> None:
    picture = Image.fromarray(row.image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    heat = _enlarge(row.patches)
    for column, shown in enumerate((picture, _overlay(picture, heat), _fade(picture, heat))):
        sheet.paste(shown, (_left(column), top))
        draw.rectangle(
            (_left(column) - 1, top - 1, _left(column) + SIDE, top + SIDE), outline="#cccccc"
        )
    left, below = float(_left(0)), top + SIDE + 3
    for text, colour in ((row.before, "#333333"), (row.word, "#c0202a"), (row.after, "#333333")):
        if text:
            draw.text((left, below), text, fill=colour, font=font)
            left += draw.textlength(text + " ", font=font)
    match = f"match {row.plain:.2f}, masked {row.masked:.2f}"
    draw.text((_left(0), below + LINE - 4), match, fill="#666666", font=font)


def _left(column: int) -> int:
    return MARGIN + column * (SIDE + MARGIN)


def _enlarge(patches: Tensor) -> NDArray[np.float32]:
    small = Image.fromarray(patches.float().cpu().numpy().astype(np.float32), mode="F")
    large = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return large.clip(0, 1)[..., None].astype(np.float32)


def _overlay(picture: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """A warm glow where the word looks, the rest pale."""
    pale = np.asarray(picture, dtype=np.float32) * 0.5 + 127
    glow = np.concatenate([np.full_like(heat, 230), 200 * (1 - heat), 40 * (1 - heat)], axis=2)
    return Image.fromarray((pale * (1 - 0.75 * heat) + glow * 0.75 * heat).astype(np.uint8))


def _fade(picture: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """Toward gray where features are faded; the model fades features, not pixels."""
    kept = np.asarray(picture, dtype=np.float32) * (1 - heat) + 128 * heat
    return Image.fromarray(kept.astype(np.uint8))
