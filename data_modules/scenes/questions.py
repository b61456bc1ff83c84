"""Questions with answers, as in VQA: each question comes with each of its answers equally often."""

import random
from collections.abc import Sequence

from data_modules.scenes.english import AT, HOW, a, plural
from data_modules.scenes.geometry import FAINT, OPPOSITE, RELATIONS, SIDES, Box, relations
from data_modules.scenes.layout import Where
from data_modules.scenes.render import Scene
from data_modules.scenes.samples import Place, Sample, Task, Template, at_side, only_at, related
from data_modules.scenes.world import World

WAYS = 4
"""Pictures of one question with an open answer, each with another answer."""

EXISTS = ("is there {}?", "do you see {}?", "is {} in the picture?", "can you see {}?")
BOTH = ("are {} and {} in the picture?", "do you see {} and {}?")
WHAT = ("what is {} the {}?", "what do you see {} the {}?")
COLOUR = ("what colour is the {}?", "which colour is the {}?")
WHERE = ("where is the {}?", "where do you see the {}?")
COUNT = ("how many {} are there?", "how many {} do you see?")


def answers(world: World) -> list[str]:
    """List all answers that questions of a level may have."""
    counts = [str(count) for count in range(1, world.level.most + 1)]
    return ["yes", "no", *counts, *SIDES, *world.colours, *world.names]


def exists(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Ask whether something is there."""
    noun = world.noun(number)
    thing = world.one(draw, noun)
    text = draw.choice(EXISTS).format(a(noun))
    seen = world.scene(draw, [thing, *world.like(draw, thing)])
    near = [other for other in world.like(draw, thing) if not other.may_be(noun)]
    return _yes_no(text, "exists", seen, world.scene(draw, near, lacking=[noun]))


def both(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Ask whether two things are there; without both, there is one."""
    one, other = world.pair(draw, number)
    text = draw.choice(BOTH).format(a(one.name), a(other.name))
    there, missing = draw.sample([one, other], 2)
    without = world.scene(draw, [there], lacking=[missing.name])
    return _yes_no(text, "both", world.scene(draw, [one, other]), without)


def relation(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Ask whether one thing is left of another, or above it, and so on."""
    one, other = world.pair(draw, number)
    how = RELATIONS[number % len(RELATIONS)]
    text = f"is the {one.name} {draw.choice(HOW[how])} the {other.name}?"
    places = [related(each, world.size) for each in (how, OPPOSITE[how])]
    scenes = [world.scene(draw, [one, other], where=place) for place in places]
    return _yes_no(text, "relation", *scenes)


def is_colour(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Ask whether a thing has a colour."""
    kinds = world.shapes(WAYS)
    kind = kinds[number % len(kinds)]
    thing, other = draw.sample(world.called(kind), 2)
    text = f"is the {kind} {thing.colour}?"
    scenes = [world.scene(draw, [each], lacking=[kind]) for each in (thing, other)]
    return _yes_no(text, "is_colour", *scenes)


def is_at(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Ask whether a thing is at a side of the picture."""
    thing, side = world.thing(number), draw.choice(SIDES)
    places = [at_side(each, world.size) for each in (side, OPPOSITE[side])]
    scenes = [world.scene(draw, [thing], where=place) for place in places]
    return _yes_no(f"is the {thing.name} {AT[side]}?", "is_at", *scenes)


def what(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Ask for the only thing that is left of another, or above it, and so on."""
    thing, how = world.thing(number), RELATIONS[number % len(RELATIONS)]
    text = draw.choice(WHAT).format(draw.choice(HOW[how]), thing.name)
    found = []
    for other in world.company(draw, thing, WAYS):
        count = draw.randint(3, world.level.most)
        where = _alone(how, world.size)
        scene = world.scene(draw, [thing, other], count=count, where=where)
        found.append(_answered(text, other.name, "what", scene))
    return found


def colour(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Ask for the colour of a thing."""
    kinds = world.shapes(WAYS)
    kind = kinds[number % len(kinds)]
    text = draw.choice(COLOUR).format(kind)
    things = draw.sample(world.called(kind), WAYS)
    scenes = [world.scene(draw, [thing], lacking=[kind]) for thing in things]
    return [
        _answered(text, thing.colour, "colour", scene)
        for thing, scene in zip(things, scenes, strict=True)
    ]


def where_is(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Ask for the side of the picture at which a thing is."""
    thing = world.thing(number)
    text = draw.choice(WHERE).format(thing.name)
    scenes = [world.scene(draw, [thing], where=only_at(side, world.size)) for side in SIDES]
    return [
        _answered(text, side, "where", scene) for side, scene in zip(SIDES, scenes, strict=True)
    ]


def count(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Ask how many there are of a sort."""
    noun = world.countable(number)
    text = draw.choice(COUNT).format(plural(noun))
    found = []
    for many in draw.sample(range(1, world.level.most), 2):
        scene = world.scene(draw, world.several(draw, noun, many), lacking=[noun])
        found.append(_answered(text, str(many), "count", scene))
    return found


def total(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Ask how many things there are; the number plays no part."""
    text = draw.choice(COUNT).format(("things", "objects")[number % 2])
    counts = draw.sample(range(world.level.least, world.level.most + 1), 2)
    return [_answered(text, str(many), "total", world.scene(draw, count=many)) for many in counts]


def ids(place: Place) -> dict[str, object]:
    """Name a question as VQA does."""
    return {"question_id": place.unique, "dataset": "scenes", "image_id": place.image_id}


QUESTIONS = Task(
    "vqa",
    (
        *(Template(make, 2) for make in (exists, exists, exists, both, relation, relation)),
        *(Template(make, 2) for make in (is_colour, is_at, count, total)),
        *(Template(make, WAYS) for make in (what, what, colour, where_is, where_is)),
    ),
    ids,
)
"""40 questions a round, 16 of them with the answers yes and no."""


def _alone(how: str, size: int) -> Where:
    def where(boxes: Sequence[Box]) -> bool:
        thing, other, *rest = boxes
        return how in relations(other, thing, size) and not any(
            how in relations(each, thing, size, FAINT) for each in rest
        )

    return where


def _yes_no(text: str, kind: str, yes: Scene, no: Scene) -> list[Sample]:
    return [_answered(text, "yes", kind, yes), _answered(text, "no", kind, no)]


def _answered(text: str, answer: str, kind: str, scene: Scene) -> Sample:
    return Sample((scene,), [text], {"answers": [answer], "question_type": kind})
