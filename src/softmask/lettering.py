"""Letters of drawings: a font that has them, and for what none has, plain letters or numbers."""

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Coloured = tuple[str, str]
"""A text and its colour."""

FONTS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc"),
    *("Arial Unicode.ttf", "arialuni.ttf", "arial.ttf", "msgothic.ttc"),
)
"""Looked for in the system's folders, for what Pillow's own font lacks: all but English letters."""
NO_LETTER = "\U0010ffff"


class Lettering(NamedTuple):
    """How a text is drawn."""

    font: Font
    exact: bool = True

    def of(self, text: str) -> str:
        """The text as the font can draw it."""
        if self.exact:
            return text
        return "".join(letter if _has(self.font, letter) else _plain(letter) for letter in text)

    def width(self, text: str) -> float:
        """Pixels."""
        return self.font.getlength(self.of(text))

    def end_cut(self, text: str, width: float) -> str:
        """The text, or its beginning where it is too wide."""
        shorter = text
        while shorter and self.width(text) > width:
            shorter = shorter[:-1]
            text = shorter.rstrip() + "…"
        return text

    def start_cut(self, text: str, width: float) -> str:
        """The text, or its end where it is too wide."""
        shorter = text
        while shorter and self.width(text) > width:
            shorter = shorter[1:]
            text = "…" + shorter.lstrip()
        return text

    def around(self, words: Sequence[Coloured], width: float) -> Sequence[Coloured]:
        """A text before, a word, a text behind: shortened where they are wider together.

        The word stays; what stands before it and behind it share what it leaves.
        """
        blank = self.width(" ")
        (before, ink), (word, red), (behind, pale) = words
        word = self.end_cut(word, width)
        room = max(width - self.width(word) - 2 * blank, 0)
        last = min(self.width(behind), max(room / 2, room - self.width(before)))
        before = self.start_cut(before, room - last)
        return (before, ink), (word, red), (self.end_cut(behind, last), pale)


def lettering(text: str, size: int) -> Lettering:
    """The first font that lacks fewest letters of a text: Pillow's own, then the system's.

    Args:
        text: all that is to be drawn with it.
        size: of the letters, in pixels.
    """
    fonts = (_own(size), *_systems(size))
    lacking = [sum(not _has(font, letter) for letter in set(text)) for font in fonts]
    return Lettering(fonts[lacking.index(min(lacking))], exact=not min(lacking))


@cache
def _own(size: int) -> Font:
    return ImageFont.load_default(size=size)


@cache
def _systems(size: int) -> tuple[Font, ...]:
    return tuple(font for name in FONTS if (font := _system(name, size)))


def _system(name: str, size: int) -> Font | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:  # not on this machine
        return None


@cache
def _has(font: Font, letter: str) -> bool:
    if letter.isascii():
        return True
    return bytes(font.getmask(letter)) != bytes(font.getmask(NO_LETTER))


def _plain(letter: str) -> str:
    bare = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return bare or letter.encode("ascii", "backslashreplace").decode()
