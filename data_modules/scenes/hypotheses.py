"""Hypotheses about a picture, as in SNLI-VE: each is entailed once, contradicted once, open once.

Open means that a curtain hides a part of the picture, and nobody knows what is behind it. "The cat"
is the only one, so that a cat in sight settles what is said of it, curtain or not.
"""

import random
from collections.abc import Sequence

from data_modules.scenes.english import AT, HOW, a, plural
from data_modules.scenes.geometry import OPPOSITE, RELATIONS, SIDES
from data_modules.scenes.layout import CURTAINS
from data_modules.scenes.render import Scene
from data_modules.scenes.samples import Place, Sample, Task, Template, at_side, related
from data_modules.scenes.world import World

LABELS = ("entailment", "contradiction", "neutral")
HANGS = 2 / 3
"""Share of settled pictures with a curtain, where it settles nothing by itself."""

# Of what is there, not of what is seen: a curtain would settle the latter.
THERE = ("there is {}", "{} is there", "there is {} here")
ABSENT = ("there is no {}", "no {} is there", "there is no {} here")
BOTH = ("there is {} and {}", "{} and {} are there")
COUNT = ("there are two {}", "two {} are there")


def there(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say that something is there."""
    noun = world.noun(number)
    seen = _with(world, draw, noun, _maybe(draw))
    away, open_ = (_without(world, draw, noun, hung) for hung in (None, draw.choice(CURTAINS)))
    return _judged(draw.choice(THERE).format(a(noun)), [seen, away, open_])


def absent(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say that something is not there."""
    noun = world.noun(number)
    away, open_ = (_without(world, draw, noun, hung) for hung in (None, draw.choice(CURTAINS)))
    seen = _with(world, draw, noun, _maybe(draw))
    return _judged(draw.choice(ABSENT).format(noun), [away, seen, open_])


def both(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say that two things are there; else one of them is in sight."""
    one, other = world.pair(draw, number)
    text = draw.choice(BOTH).format(a(one.name), a(other.name))
    seen = world.scene(draw, [one, other], curtain=_maybe(draw))
    part = []
    for curtain in (None, draw.choice(CURTAINS)):
        shown, missing = draw.sample([one, other], 2)
        part.append(world.scene(draw, [shown], lacking=[missing.name], curtain=curtain))
    return _judged(text, [seen, *part])


def relation(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say where one thing is as seen from another; open if one of the two is not in sight."""
    one, other = world.pair(draw, number)
    how = RELATIONS[number % len(RELATIONS)]
    text = f"the {one.name} is {draw.choice(HOW[how])} the {other.name}"
    seen = [
        world.scene(draw, [one, other], where=related(each, world.size), curtain=_maybe(draw))
        for each in (how, OPPOSITE[how])
    ]
    shown, missing = draw.sample([one, other], 2)
    open_ = world.scene(draw, [shown], lacking=[missing.name], curtain=_along(draw, how))
    return _judged(text, [*seen, open_])


def colour(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say which colour a thing has; open if none of its kind is in sight."""
    kinds = world.shapes(4)
    kind = kinds[number % len(kinds)]
    thing, other = draw.sample(world.called(kind), 2)
    seen = [
        world.scene(draw, [each], lacking=[kind], curtain=_maybe(draw)) for each in (thing, other)
    ]
    open_ = _without(world, draw, kind, draw.choice(CURTAINS))
    return _judged(f"the {kind} is {thing.colour}", [*seen, open_])


def at(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say at which side of the picture a thing is; open if it is not in sight."""
    thing, side = world.thing(number), draw.choice(SIDES)
    seen = [
        world.scene(draw, [thing], where=at_side(each, world.size), curtain=_across(draw, each))
        for each in (side, OPPOSITE[side])
    ]
    open_ = _without(world, draw, thing.name, _along(draw, side))
    return _judged(f"the {thing.name} is {AT[side]}", [*seen, open_])


def count(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say that there are two of a sort; open if two at most are in sight."""
    noun = world.countable(number)
    text = draw.choice(COUNT).format(plural(noun))

    def many(count: int, curtain: str | None) -> Scene:
        things = world.several(draw, noun, count)
        return world.scene(draw, things, lacking=[noun], curtain=curtain)

    hidden = many(draw.randint(1, 2), draw.choice(CURTAINS))
    return _judged(text, [many(2, None), many(1, None), hidden])


def ids(place: Place) -> dict[str, object]:
    """Name a picture."""
    return {"image_id": place.image_id}


HYPOTHESES = Task(
    "snli_ve",
    tuple(
        Template(make, 3)
        for make in (there, there, absent, absent, both, relation, relation, colour, at, count)
    ),
    ids,
)
"""30 hypotheses a round."""


def _maybe(draw: random.Random) -> str | None:
    return draw.choice(CURTAINS) if draw.random() < HANGS else None


def _along(draw: random.Random, direction: str) -> str:
    """Give a curtain that hides as much at one end of a direction as at the other."""
    return draw.choice(("top", "bottom") if direction in ("left", "right") else ("left", "right"))


def _across(draw: random.Random, side: str) -> str | None:
    """Give a curtain, or none, that leaves room at a side."""
    return draw.choice([each for each in SIDES if each != side]) if draw.random() < HANGS else None


def _with(world: World, draw: random.Random, noun: str, curtain: str | None) -> Scene:
    thing = world.one(draw, noun)
    return world.scene(draw, [thing, *world.like(draw, thing)], curtain=curtain)


def _without(world: World, draw: random.Random, noun: str, curtain: str | None) -> Scene:
    near = [x for x in world.like(draw, world.one(draw, noun)) if not x.may_be(noun)]
    return world.scene(draw, near, lacking=[noun], curtain=curtain)


def _judged(text: str, scenes: Sequence[Scene]) -> list[Sample]:
    return [
        Sample((scene,), [text], {"label": label})
        for label, scene in zip(LABELS, scenes, strict=True)
    ]
