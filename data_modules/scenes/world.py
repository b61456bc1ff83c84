"""Scenes to order: some things in them, others not, the rest by chance, as the split allows."""

import random
from collections import defaultdict
from collections.abc import Sequence

from data_modules.scenes.held_out import TRAIN, HeldOut
from data_modules.scenes.layout import Where, anywhere, curtain_box, lay_out
from data_modules.scenes.nouns import COLOURED, LEVEL_1, LEVEL_2
from data_modules.scenes.render import Drawings, Placed, Scene
from data_modules.scenes.vocabulary import Level, Thing

TRIES = 1000
DRAWS = 100  # of one more thing, before all are drawn anew


class World:
    """The things of one level and split.

    Args:
        things: all of the level.
        level: how many are in a scene, how large.
        split: whose pairs may meet: training's, and in val and test one of their own at least.
        size: side of the pictures in pixels.
        seed: of the held-out pairs.
    """

    def __init__(
        self, things: Sequence[Thing], level: Level, split: str, size: int, seed: int
    ) -> None:
        self.level, self.split, self.size = level, split, size
        self._things = things
        self._by_name = {thing.name: thing for thing in things}
        self._by_kind: dict[str, list[Thing]] = defaultdict(list)
        for thing in things:
            self._by_kind[thing.kind].append(thing)
        self._held_out = HeldOut(list(self._by_name), seed)
        order = random.Random(f"nouns {seed}")
        self._names = order.sample(sorted(self._by_name), len(things))
        nouns = sorted(set(self._by_name) | set(self._by_kind))
        self._nouns = order.sample(nouns, len(nouns))
        counted = {*LEVEL_1, *LEVEL_2, *COLOURED}
        self._countable = [noun for noun in self._nouns if noun in counted]
        self.drawings = Drawings()

    @property
    def names(self) -> list[str]:
        """List the names of all things."""
        return sorted(self._by_name)

    @property
    def colours(self) -> list[str]:
        """List the colours that things of a kind differ by."""
        return sorted({thing.colour for thing in self._things if thing.colour})

    def noun(self, number: int) -> str:
        """Give a name or a kind, each as often as each other as numbers go up."""
        return self._nouns[number % len(self._nouns)]

    def countable(self, number: int) -> str:
        """Give a noun that has a plural, each as often as each other as numbers go up."""
        return self._countable[number % len(self._countable)]

    def thing(self, number: int) -> Thing:
        """Give a thing, each as often as each other as numbers go up."""
        return self._by_name[self._names[number % len(self._names)]]

    def shapes(self, colours: int) -> list[str]:
        """List the kinds that come in so many colours at least."""
        return sorted(kind for kind, things in self._by_kind.items() if len(things) >= colours)

    def called(self, noun: str) -> list[Thing]:
        """List the things that a noun names."""
        return self._by_kind.get(noun) or [self._by_name[noun]]

    def one(self, draw: random.Random, noun: str) -> Thing:
        """Give a thing that a noun names."""
        return draw.choice(self.called(noun))

    def like(self, draw: random.Random, thing: Thing) -> list[Thing]:
        """Give a thing of the same kind or colour in half of the cases, if there is one.

        Scenes with and without a red heart hold a blue heart or a red square equally often.
        """
        near = [
            other
            for other in self._things
            if thing.resembles(other) and self._may_meet(thing, other)
        ]
        return [draw.choice(near)] if near and draw.random() < 0.5 else []

    def pair(self, draw: random.Random, number: int) -> tuple[Thing, Thing]:
        """Give two things of the split's own pairs; the first goes round as numbers go up."""
        one = self.thing(number)
        return one, self._partner(draw, one)

    def company(self, draw: random.Random, thing: Thing, count: int) -> list[Thing]:
        """Give different things that may meet one."""
        found: list[Thing] = []
        while len(found) < count:
            other = draw.choice(self._things)
            if other not in (thing, *found) and self._may_meet(thing, other):
                found.append(other)
        return found

    def several(self, draw: random.Random, noun: str, count: int) -> list[Thing]:
        """Give things that a noun names, of equal name or not, which may meet."""
        for _ in range(TRIES):
            things = [self.one(draw, noun) for _ in range(count)]
            if self._all_may_meet(things):
                return things
        raise AssertionError(f"no {count} of {noun} may meet")

    def two_and_other(self, draw: random.Random, noun: str) -> list[Thing]:
        """Give two things that a noun names and one that it does not; all may meet."""
        for _ in range(TRIES):
            first, second = self.several(draw, noun, 2)
            other = self._partner(draw, first)
            if not other.may_be(noun) and self._may_meet(second, other):
                return [first, second, other]
        raise AssertionError(f"nothing may meet two of {noun}")

    def scene(
        self,
        draw: random.Random,
        having: Sequence[Thing] = (),
        *,
        lacking: Sequence[str] = (),
        count: int | None = None,
        where: Where = anywhere,
        curtain: str | None = None,
    ) -> Scene:
        """Compose a scene; its objects are those of `having`, in their order, then the others.

        Args:
            draw: decides on all that is not given.
            having: things in it; no other has the name of one of them.
            lacking: nouns that none of the other things may be taken for.
            count: number of things.
            where: whether the boxes, in the order of the objects, are as wanted.
            curtain: its side, or "corner".
        """
        things = self._cast(draw, having, lacking, count)
        hidden = curtain_box(draw, curtain, self.size) if curtain else None
        boxes = lay_out(
            draw,
            [self.drawings.ratio(thing) for thing in things],
            size=self.size,
            scale=self._scale(curtain),
            curtain=hidden,
            where=where,
        )
        placed = tuple(Placed(thing, box) for thing, box in zip(things, boxes, strict=True))
        return Scene(self.size, placed, hidden, draw.getrandbits(32))

    def _scale(self, curtain: str | None) -> tuple[float, float]:
        least, most = self.level.scale
        return (least, (least + most) / 2) if curtain else (least, most)

    def _cast(
        self,
        draw: random.Random,
        having: Sequence[Thing],
        lacking: Sequence[str],
        count: int | None,
    ) -> list[Thing]:
        assert self._all_may_meet(having), having
        for _ in range(TRIES):
            things = self._try_cast(draw, having, lacking, count)
            if things is not None:
                return things
        raise AssertionError(f"no {count} things with {having} and without {lacking}")

    def _try_cast(
        self,
        draw: random.Random,
        having: Sequence[Thing],
        lacking: Sequence[str],
        count: int | None,
    ) -> list[Thing] | None:
        things = list(having)
        least = max(self.level.least, len(things) + (not self._holds_own(things)))
        wanted = count or draw.randint(least, max(self.level.most, least))
        while len(things) < wanted or not self._holds_own(things):
            # The last place is kept for a pair of the split's own.
            last = len(things) >= wanted - 1 and not self._holds_own(things)
            thing = self._addition(draw, things, lacking, own=last)
            if thing is None:
                return None
            things.append(thing)
        return things if len(things) == wanted else None

    def _addition(
        self, draw: random.Random, things: Sequence[Thing], lacking: Sequence[str], *, own: bool
    ) -> Thing | None:
        """Draw one more thing, if own one that makes a pair of the split's own."""
        for _ in range(DRAWS):
            thing = self._partner(draw, draw.choice(things)) if own else draw.choice(self._things)
            named = any(thing.may_be(noun) for noun in lacking)
            if not named and thing not in things and self._all_may_meet([*things, thing]):
                return thing
        return None

    def _partner(self, draw: random.Random, thing: Thing) -> Thing:
        own = self._held_out.partners(thing.name, self.split)
        while True:
            other = self._by_name[draw.choice(own)] if own else draw.choice(self._things)
            if other != thing and self._may_meet(thing, other):
                return other

    def _holds_own(self, things: Sequence[Thing]) -> bool:
        """Say whether evaluation sees a pair of its own; training asks for none."""
        return self.split == TRAIN or any(
            self._held_out.split(one.name, other.name) == self.split
            for one in things
            for other in things
        )

    def _may_meet(self, one: Thing, other: Thing) -> bool:
        allowed = self._held_out.split(one.name, other.name) in (TRAIN, self.split)
        return allowed and not one.clashes(other)

    def _all_may_meet(self, things: Sequence[Thing]) -> bool:
        return all(self._may_meet(one, other) for one in things for other in things)
