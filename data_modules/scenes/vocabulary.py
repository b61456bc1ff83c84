"""The things that scenes are made of, by level."""

from dataclasses import dataclass
from typing import NamedTuple

from data_modules.emoji import read_names
from data_modules.scenes.nouns import COLOURED, COLOURS, LEVEL_1, LEVEL_2, RENAMED
from softmask.errors import InputError

JOINING = {"and", "above", "over", "below", "under"}
"""Words of texts: "a cat above sunrise over mountains" could be read in two ways."""


class Thing(NamedTuple):
    """What a drawing shows."""

    name: str  # "red heart", "cat"
    kind: str  # "heart", "cat"
    colour: str  # "red"; "" where drawings of a kind do not differ in colour
    picture: str  # the drawing's file

    def is_a(self, noun: str) -> bool:
        """Say whether a text may call it so."""
        return noun in (self.name, self.kind)

    def may_be(self, noun: str) -> bool:
        """Say whether a reader may call it so: a "cat face" is no "cat" by name, yet shows one."""
        return set(noun.split()) <= set(self.name.split())

    def clashes(self, other: "Thing") -> bool:
        """Say whether a reader may take one for the other, though their names differ."""
        return self != other and (self.may_be(other.name) or other.may_be(self.name))

    def resembles(self, other: "Thing") -> bool:
        """Say whether another thing shares its kind or its colour, but not both."""
        return bool(self.colour) and (self.kind == other.kind) != (self.colour == other.colour)


@dataclass(frozen=True)
class Level:
    """How much there is to know.

    Args:
        names: of the drawings, as texts call them; none stands for the whole corpus,
            but for names with words of JOINING.
        least: things in a picture.
        most: things in a picture.
        scale: least and most of a thing's longer side, as shares of the picture's.
    """

    names: tuple[str, ...]
    least: int
    most: int
    scale: tuple[float, float]


LEVELS = {
    1: Level(LEVEL_1, 2, 3, (0.29, 0.42)),
    2: Level(LEVEL_2, 2, 4, (0.24, 0.36)),
    3: Level((), 2, 6, (0.19, 0.3)),
}


def find_level(level: int) -> Level:
    """Give a level.

    Raises:
        InputError: if there is none of this number.
    """
    if level not in LEVELS:
        raise InputError(f"level is {level}: give one of {', '.join(map(str, LEVELS))}.")
    return LEVELS[level]


def read_things(level: Level) -> tuple[Thing, ...]:
    """Find a level's drawings in the demo corpus.

    Raises:
        InputError: if the pictures or names are not installed.
    """
    files = {name: file for file, name in read_names().items()}
    if not level.names:
        clear = [name for name in sorted(files) if not JOINING & set(name.split())]
        return tuple(_thing(name, files[name]) for name in clear)
    return tuple(_thing(name, files[_corpus_name(name, files)]) for name in level.names)


def _corpus_name(name: str, files: dict[str, str]) -> str:
    renamed = RENAMED.get(name, name)
    if renamed in files:
        return renamed
    raise InputError(
        f"The installed emoji names have no {renamed!r}: install the releases that "
        "'softmask[demo]' names."
    )


def _thing(name: str, picture: str) -> Thing:
    words = name.split()
    if len(words) == 2 and words[0] in COLOURS and words[1] in COLOURED:
        return Thing(name, words[1], words[0], picture)
    return Thing(name, name, "", picture)
