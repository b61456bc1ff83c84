"""Statements about two pictures, as in NLVR2: each is true of two pairs and false of two."""

import random
from collections.abc import Sequence

from data_modules.scenes.english import HOW, NUMBERS, a
from data_modules.scenes.geometry import OPPOSITE, RELATIONS
from data_modules.scenes.render import Scene
from data_modules.scenes.samples import Place, Sample, Task, Template, related
from data_modules.scenes.world import World

Two = tuple[Scene, Scene]
Shown = tuple[bool, bool]
"""Whether the left and the right picture show something."""

BOTH, LEFT, RIGHT, NEITHER = (True, True), (True, False), (False, True), (False, False)

IN_BOTH = ("both pictures show {}", "there is {} in both pictures")
IN_ONE = ("exactly one picture shows {}", "there is {} in exactly one picture")
IN_SIDE = ("the {1} picture shows {0}", "{0} is in the {1} picture")
IN_NEITHER = ("neither picture shows {}", "{} is in neither picture")
SAME = ("one picture shows {} and {}", "{} and {} are in the same picture")
SPLIT = ("the left picture shows {} and the right picture shows {}",)
MORE = (
    "the {0} picture shows more {1} than the {2} picture",
    "there are more {1} in the {0} picture",
)
EACH = ("there are {} things in each picture", "each picture shows {} things")


def both(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say that both pictures show something."""
    text = draw.choice(IN_BOTH).format(a(world.noun(number)))
    return _shown(world, number, draw, text, [BOTH, BOTH], [LEFT, RIGHT])


def one(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say that one picture shows something and one does not."""
    text = draw.choice(IN_ONE).format(a(world.noun(number)))
    return _shown(world, number, draw, text, [LEFT, RIGHT], [BOTH, NEITHER])


def neither(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say that no picture shows something."""
    text = draw.choice(IN_NEITHER).format(a(world.noun(number)))
    return _shown(world, number, draw, text, [NEITHER, NEITHER], [LEFT, RIGHT])


def on_left(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say that the left picture shows something."""
    text = draw.choice(IN_SIDE).format(a(world.noun(number)), "left")
    return _shown(world, number, draw, text, [LEFT, BOTH], [RIGHT, NEITHER])


def on_right(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say that the right picture shows something."""
    text = draw.choice(IN_SIDE).format(a(world.noun(number)), "right")
    return _shown(world, number, draw, text, [RIGHT, BOTH], [LEFT, NEITHER])


def same(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say that one picture shows two things; else each picture shows one of them."""
    first, second = world.pair(draw, number)
    text = draw.choice(SAME).format(a(first.name), a(second.name))

    def with_both() -> Scene:
        return world.scene(draw, [first, second])

    def with_none() -> Scene:
        return world.scene(draw, lacking=[first.name, second.name])

    def with_first() -> Scene:
        return world.scene(draw, [first], lacking=[second.name])

    def with_second() -> Scene:
        return world.scene(draw, [second], lacking=[first.name])

    true = [(with_both(), with_none()), (with_none(), with_both())]
    false = [(with_first(), with_second()), (with_second(), with_first())]
    return _judged(text, true, false)


def split(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say what each picture shows; else it is the other way round."""
    first, second = world.pair(draw, number)
    text = draw.choice(SPLIT).format(a(first.name), a(second.name))

    def two(left: int, right: int) -> Two:
        things = (first, second)
        other = [second.name, first.name]
        return (
            world.scene(draw, [things[left]], lacking=[other[left]]),
            world.scene(draw, [things[right]], lacking=[other[right]]),
        )

    return _judged(text, [two(0, 1), two(0, 1)], [two(1, 0), two(1, 0)])


def relation(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say that a thing is left of another in both pictures, or above it, and so on."""
    first, second = world.pair(draw, number)
    how = RELATIONS[number % len(RELATIONS)]
    text = f"in both pictures the {first.name} is {draw.choice(HOW[how])} the {second.name}"

    def two(left: str, right: str) -> Two:
        places = [related(each, world.size) for each in (left, right)]
        scenes = [world.scene(draw, [first, second], where=place) for place in places]
        return scenes[0], scenes[1]

    other = OPPOSITE[how]
    return _judged(text, [two(how, how), two(how, how)], [two(how, other), two(other, how)])


def more(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say that one picture shows more things than the other; else fewer, or as many."""
    side, other = ("left", "right") if number % 2 else ("right", "left")
    text = draw.choice(MORE).format(side, draw.choice(("things", "objects")), other)
    turn = 1 if side == "left" else -1
    true, false = [], []
    for _ in range(2):
        few, many = sorted(draw.sample(range(world.level.least, world.level.most + 1), 2))
        true.append(_counted(world, draw, (many, few)[::turn]))
    few, many = sorted(draw.sample(range(world.level.least, world.level.most + 1), 2))
    equal = draw.choice((few, many))
    false = [_counted(world, draw, (few, many)[::turn]), _counted(world, draw, (equal, equal))]
    return _judged(text, true, false)


def each(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Say how many things both pictures show."""
    counts = range(world.level.least, world.level.most + 1)
    many = counts[number % len(counts)]
    text = draw.choice(EACH).format(NUMBERS[many])
    other = draw.choice([count for count in counts if count != many])
    true = [_counted(world, draw, (many, many)) for _ in range(2)]
    false = [_counted(world, draw, counts) for counts in ((many, other), (other, many))]
    return _judged(text, true, false)


def ids(place: Place) -> dict[str, object]:
    """Name a picture pair with a statement as NLVR2 does: split, set, pair, sentence."""
    identifier = f"{place.split}-{place.group}-{place.member}-0"
    return {"identifier": identifier, "sentence_id": f"{place.split}-{place.group}-0"}


STATEMENTS = Task(
    "nlvr2",
    (
        *(Template(make, 4) for make in (both, neither, on_left, on_right, same, split)),
        *(Template(make, 4, level=2) for make in (one, relation, more, each)),
    ),
    ids,
)
"""24 statements on picture pairs a round, at level 2 and 3 40 with either-or and with numbers."""


def _shown(
    world: World,
    number: int,
    draw: random.Random,
    text: str,
    true: Sequence[Shown],
    false: Sequence[Shown],
) -> list[Sample]:
    noun = world.noun(number)

    def picture(shown: bool) -> Scene:
        thing = world.one(draw, noun)
        near = world.like(draw, thing)
        if shown:
            return world.scene(draw, [thing, *near])
        return world.scene(draw, [x for x in near if not x.may_be(noun)], lacking=[noun])

    def two(shown: Shown) -> Two:
        return picture(shown[0]), picture(shown[1])

    return _judged(text, [two(shown) for shown in true], [two(shown) for shown in false])


def _counted(world: World, draw: random.Random, counts: Sequence[int]) -> Two:
    left, right = counts
    return world.scene(draw, count=left), world.scene(draw, count=right)


def _judged(text: str, true: Sequence[Two], false: Sequence[Two]) -> list[Sample]:
    judged = [(two, True) for two in true] + [(two, False) for two in false]
    return [Sample(two, [text], {"label": label}) for two, label in judged]
