"""What a task is made of: groups of samples that no text gives away."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from data_modules.scenes.geometry import Box, only_side, relations, sides
from data_modules.scenes.held_out import SPLITS
from data_modules.scenes.layout import Where
from data_modules.scenes.render import Scene
from data_modules.scenes.world import World
from data_modules.seeds import hash63

MILLION = 1_000_000


class Sample(NamedTuple):
    """One or two scenes and what is said of them."""

    scenes: tuple[Scene, ...]
    texts: Sequence[str]
    notes: dict[str, object]  # of its json


Make = Callable[[World, int, random.Random], list[Sample]]
"""Makes a group: equal texts, and each label equally often. The number goes round the nouns."""


class Template(NamedTuple):
    """A kind of text."""

    make: Make
    size: int  # of its groups
    level: int = 1  # the first that has it


class Place(NamedTuple):
    """A sample's place among those of its split."""

    task: str
    split: str
    number: int
    group: int
    member: int  # of the group

    @property
    def unique(self) -> int:
        """Give a number that no sample of another split has."""
        return SPLITS.index(self.split) * MILLION + self.number

    @property
    def image_id(self) -> str:
        """Name its picture."""
        return f"{self.task}-{self.split}-{self.number:06d}"


class Task(NamedTuple):
    """A task's templates; in each round every one has its turn."""

    name: str
    templates: tuple[Template, ...]
    ids: Callable[[Place], dict[str, object]]
    """What names a sample in its json."""

    def at(self, level: int) -> "Task":
        """Give the task with the templates of a level."""
        return self._replace(templates=tuple(x for x in self.templates if x.level <= level))

    @property
    def round(self) -> int:
        """Count the samples of a round."""
        return sum(template.size for template in self.templates)

    def plan(self, split: str, rounds: int, seed: int) -> list[Place]:
        """List the places of a split: groups in an order of chance, each undivided."""
        groups = range(rounds * len(self.templates))
        shuffled = random.Random(f"{seed}/{self.name}/{split}").sample(groups, len(groups))
        members = [(group, member) for group in shuffled for member in range(self._size(group))]
        return [Place(self.name, split, number, *member) for number, member in enumerate(members)]

    def compose(self, world: World, group: int, seed: int) -> list[Sample]:
        """Compose a group's samples, whatever others are composed.

        Args:
            world: of the split.
            group: its number, round by round and template by template.
            seed: of all draws.
        """
        turn, column = divmod(group, len(self.templates))
        make = self.templates[column].make
        # A template that comes twice a round goes round the nouns twice as fast.
        same = [each.make is make for each in self.templates]
        draw = random.Random(hash63(f"{seed}/{self.name}/{world.split}/{group}"))
        return make(world, turn * sum(same) + sum(same[:column]), draw)

    def _size(self, group: int) -> int:
        return self.templates[group % len(self.templates)].size


def related(relation: str, size: int, first: int = 0, second: int = 1) -> Where:
    """Want the first of two things left of the second, or above it, and so on."""

    def where(boxes: Sequence[Box]) -> bool:
        return relation in relations(boxes[first], boxes[second], size)

    return where


def at_side(side: str, size: int) -> Where:
    """Want the first thing at a side of the picture."""

    def where(boxes: Sequence[Box]) -> bool:
        return side in sides(boxes[0], size)

    return where


def only_at(side: str, size: int) -> Where:
    """Want the first thing at the middle of a side of the picture."""

    def where(boxes: Sequence[Box]) -> bool:
        return only_side(boxes[0], size) == side

    return where
