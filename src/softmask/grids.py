"""Samples in rows of pictures: hard negatives of a step, hits and misses of a search.

H x W pixels.
"""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from softmask.lettering import lettering
from softmask.panels import GREEN, INK, LINE, MARGIN, PALE_INK, RED, Pixels

CELL = 128
"""Side of a picture."""
LETTERS = 14
"""Their size in pixels."""
COLUMNS = 54
"""Letters of a line of text."""
LIKELY = 0.5
"""A negative that is judged likelier than this to match may be none."""


class Opposed(NamedTuple):
    """A pair of a step, and the negatives it was told from."""

    image: Pixels  # (H, W, 3)
    caption: str
    match: float  # probability, of the pair
    text: str  # the hard text
    text_match: float
    text_doubt: str  # why it may be right, or nothing
    other: Pixels  # the hard picture
    other_caption: str
    other_match: float
    other_doubt: str


class Answer(NamedTuple):
    """One place of a ranked list: a picture, or a text."""

    shown: Pixels | str
    score: float
    right: bool


class Query(NamedTuple):
    """A query with its first answers."""

    asked: Pixels | str
    answers: Sequence[Answer]
    rank: int  # of the first right answer, from 1

    @property
    def hit(self) -> bool:
        """Whether the first answer is right."""
        return self.rank == 1


def doubt(match: float, *, same_picture: bool, same_caption: bool) -> str:
    """Why a negative may be a match in truth: nothing when it looks like a negative."""
    reasons = {
        "same picture": same_picture,
        "same caption": same_caption,
        f"score over {LIKELY:g}": match > LIKELY,
    }
    return ", ".join(name for name, holds in reasons.items() if holds)


def negatives_grid(rows: Sequence[Opposed]) -> Pixels:
    """Draw pairs beside their hard negatives; doubtful ones are red.

    Args:
        rows: at least one.

    Returns:
        (height, width, 3).
    """
    sheet = _Sheet(2 * (CELL + MARGIN) + 3 * MARGIN + 360, len(rows) * (CELL + 2 * MARGIN) + LINE)
    titles = ("picture", "hard picture", "caption, hard text, caption of the hard picture")
    for column, title in enumerate(titles):
        sheet.text(MARGIN + column * (CELL + MARGIN), 4, title, PALE_INK)
    for number, row in enumerate(rows):
        top = LINE + MARGIN + number * (CELL + 2 * MARGIN)
        sheet.picture(MARGIN, top, row.image, PALE_INK)
        sheet.picture(2 * MARGIN + CELL, top, row.other, RED if row.other_doubt else PALE_INK)
        lines = [
            (row.caption, row.match, ""),
            (row.text, row.text_match, row.text_doubt),
            (row.other_caption, row.other_match, row.other_doubt),
        ]
        for text, match, why in lines:
            said = f"{match:.2f}  {text}" + (f" ({why}?)" if why else "")
            top = sheet.block(3 * MARGIN + 2 * CELL, top, said, RED if why else INK)
    return sheet.pixels()


def said_of_negatives(rows: Sequence[Opposed]) -> str:
    """The same in words."""
    parts = []
    for row in rows:
        text = f", {row.text_doubt}?" if row.text_doubt else ""
        other = f", {row.other_doubt}?" if row.other_doubt else ""
        parts.append(
            f"'{row.caption}' {row.match:.2f} against the text '{row.text}' {row.text_match:.2f}"
            f"{text} and the picture of '{row.other_caption}' {row.other_match:.2f}{other}"
        )
    return f"Pairs and their hard negatives with match probabilities: {'; '.join(parts)}."


def query_grid(queries: Sequence[Query]) -> Pixels:
    """Draw queries with what was found, right answers in green.

    Args:
        queries: at least one; all ask in pictures for texts, or in texts for pictures.

    Returns:
        (height, width, 3).
    """
    most = max(len(query.answers) for query in queries)
    pictures = isinstance(queries[0].asked, str)
    width = most * (CELL + MARGIN) if pictures else CELL + MARGIN + 380
    height = CELL + 2 * LINE + MARGIN
    sheet = _Sheet(width + MARGIN, len(queries) * height + MARGIN)
    for number, query in enumerate(queries):
        top = MARGIN + number * height
        head = f"{'hit' if query.hit else f'miss, right at place {query.rank}'}"
        if isinstance(query.asked, str):
            asked = textwrap.shorten(query.asked, 90, placeholder=" ...")
            sheet.text(MARGIN, top, f"{head}: {asked}", GREEN if query.hit else RED)
        else:
            sheet.text(MARGIN, top, head, GREEN if query.hit else RED)
            sheet.picture(MARGIN, top + LINE, query.asked, PALE_INK)
        _answers(sheet, query, top + LINE)
    return sheet.pixels()


def said_of_queries(queries: Sequence[Query]) -> str:
    """The same in words."""
    parts = []
    for number, query in enumerate(queries, start=1):
        asked = f"'{query.asked}'" if isinstance(query.asked, str) else f"picture {number}"
        found = "a hit" if query.hit else f"a miss, right at place {query.rank}"
        texts = [
            f"'{a.shown}'{' (right)' if a.right else ''}"
            for a in query.answers
            if isinstance(a.shown, str)
        ]
        parts.append(f"{asked} is {found}{': ' if texts else ''}{', '.join(texts)}")
    return f"Queries and what was found: {'; '.join(parts)}."


def _answers(sheet: "_Sheet", query: Query, top: int) -> None:
    below = top
    for place, answer in enumerate(query.answers):
        colour = GREEN if answer.right else PALE_INK
        if isinstance(answer.shown, str):
            text = textwrap.shorten(answer.shown, COLUMNS - 6, placeholder=" ...")
            mark = "*" if answer.right else " "  # colour alone is not seen by all
            sheet.text(2 * MARGIN + CELL, below, f"{answer.score:6.2f} {mark} {text}", colour)
            below += LINE + 3
        else:
            left = MARGIN + place * (CELL + MARGIN)
            sheet.picture(left, top, answer.shown, colour)
            sheet.text(left, top + CELL + 2, f"{answer.score:.2f}", colour)


class _Sheet:
    """White paper to draw on."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width, height), "white")
        self._draw = ImageDraw.Draw(self._image)

    def text(self, left: int, top: int, text: str, colour: str) -> None:
        letters = lettering(text, LETTERS)
        self._draw.text((left, top), letters.of(text), fill=colour, font=letters.font)

    def block(self, left: int, top: int, text: str, colour: str) -> int:
        """Three lines at most; gives where the next block begins."""
        letters = lettering(text, LETTERS)
        lines = textwrap.wrap(letters.of(text), COLUMNS, max_lines=3, placeholder=" ...")
        said = "\n".join(lines)
        self._draw.multiline_text((left, top), said, fill=colour, font=letters.font)
        return top + 17 * len(lines) + 4

    def picture(self, left: int, top: int, pixels: Pixels, frame: str) -> None:
        image = Image.fromarray(pixels).resize((CELL, CELL), Image.Resampling.BICUBIC)
        self._image.paste(image, (left, top))
        wide = 1 if frame == PALE_INK else 3
        box = (left - wide, top - wide, left + CELL + wide - 1, top + CELL + wide - 1)
        self._draw.rectangle(box, outline=frame, width=wide)

    def pixels(self) -> Pixels:
        return np.asarray(self._image)
