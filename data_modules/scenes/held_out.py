"""Which things meet only in validation or only in the test: new combinations of known things."""

import random
from collections.abc import Sequence

TRAIN, VAL, TEST = "train", "val", "test"
SPLITS = (TRAIN, VAL, TEST)
NEAR = 0.4
"""How near in the circle things are held out, by the root of their number: at level 1 four of 23
partners for val and for the test each, so that captions of the test differ; few of many."""


class HeldOut:
    """Pairs of things by split. Each thing has as many held-out partners as each other.

    The things stand in a circle, in an order of chance. Neighbours and those at other small odd
    distances meet in validation alone, those at small even distances in the test alone.

    Args:
        names: of the things.
        seed: of the order.
    """

    def __init__(self, names: Sequence[str], seed: int) -> None:
        self._circle = random.Random(seed).sample(sorted(names), len(names))
        self._place = {name: place for place, name in enumerate(self._circle)}
        self._near = 2 * max(1, round(NEAR * len(names) ** 0.5))

    def split(self, one: str, other: str) -> str:
        """Name the split in whose pictures two things may meet; evaluation also sees training's."""
        apart = abs(self._place[one] - self._place[other])
        distance = min(apart, len(self._circle) - apart)
        if distance == 0 or distance > self._near:
            return TRAIN
        return VAL if distance % 2 else TEST

    def partners(self, name: str, split: str) -> list[str]:
        """List the things that meet one in no pictures but those of val or test; for train none."""
        if split == TRAIN:
            return []
        first = 1 if split == VAL else 2
        distances = range(first, self._near + 1, 2)
        place, around = self._place[name], len(self._circle)
        return [
            self._circle[(place + turn * distance) % around]
            for distance in distances
            for turn in (-1, 1)
        ]
