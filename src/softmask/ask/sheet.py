"""An explained pair as one picture: the maps over the picture, tile by tile."""

from math import ceil

from PIL import Image, ImageDraw

from softmask.ask.explained import Explained, tiles
from softmask.lettering import Lettering, lettering
from softmask.panels import INK, MARGIN, PALE_INK, RED, overlay

LONG_SIDE = 320
"""Pixels of the longer side of a picture in a tile."""
MOST_COLUMNS = 4
TITLE, NOTE = 20, 15
"""Sizes of letters in pixels."""


def sheet(explained: Explained) -> Image.Image:
    """Draw the picture, the sentence's map, and each word's."""
    picture = _fit(explained.picture)
    shown = [("picture", f"match {explained.found.match:.3f}", picture)]
    shown += [(tile.title, tile.note, overlay(picture, tile.patches)) for tile in tiles(explained)]
    columns = min(MOST_COLUMNS, len(shown))
    cell = max(picture.width, 180) + MARGIN, picture.height + TITLE + NOTE + 3 * MARGIN
    width = columns * cell[0] + MARGIN
    large = lettering(explained.text + "".join(title for title, *_ in shown), TITLE)
    small = lettering("", NOTE).font
    lines = _wrap(f"{explained.text}   ({explained.way})", width - 2 * MARGIN, large)
    top = MARGIN + len(lines) * (TITLE + 8)
    page = Image.new("RGB", (width, top + ceil(len(shown) / columns) * cell[1]), "white")
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        place = MARGIN, MARGIN + number * (TITLE + 8)
        draw.text(place, large.of(line), fill=INK, font=large.font)
    for number, (title, note, drawn) in enumerate(shown):
        row, column = divmod(number, columns)
        left, above = MARGIN + column * cell[0], top + row * cell[1]
        page.paste(drawn, (left, above))
        below = above + picture.height + 4
        word = large.of(large.end_cut(title, cell[0] - MARGIN))
        draw.text((left, below), word, fill=RED if number > 1 else INK, font=large.font)
        draw.text((left, below + TITLE + 6), note, fill=PALE_INK, font=small)
    return page


def _fit(picture: Image.Image) -> Image.Image:
    scale = LONG_SIDE / max(picture.size)
    width, height = (max(round(side * scale), 1) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def _wrap(text: str, width: int, letters: Lettering) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and letters.width(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [letters.end_cut(line, width) for line in lines]
