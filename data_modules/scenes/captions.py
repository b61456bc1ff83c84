"""Captions, three a picture: how all things lie, where each of them is, and where again or a list.

Places are most of what they say: where one word in ten told a place, pretraining learnt a bag of
things, and words had no need to look at one of them.

Each names two things at least. A vaguer one ("three things, one of them is a cat") would be true of
many other pictures, and training would push them away as wrong.
"""

import random

from data_modules.scenes.english import HOW, a, corner, counted, joined, listed
from data_modules.scenes.geometry import OPPOSITE, relations, sides
from data_modules.scenes.layout import CURTAINS
from data_modules.scenes.render import Placed, Scene
from data_modules.scenes.samples import Place, Sample, Task, Template
from data_modules.scenes.world import World

CURTAINED = 1 / 8
"""Share of pictures with a curtain, so that pretraining sees some."""

TWICE = 0.2
"""Share of pictures with two of a sort, where three things are."""

LISTED = 0.5
"""Share of pictures with a caption that says of no thing where it is."""

SILENT = 0.5
"""Share of captions with sides that leave out one sort of three: later tasks do not tell all."""

CURTAIN = "grey curtain"
LISTS = ("{}", "there is {}", "a picture of {}", "this picture shows {}", "we see {}")


def caption(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Caption a picture; larger numbers of things are more frequent, for they tell more apart."""
    count = max(draw.randint(world.level.least, world.level.most) for _ in range(3))
    things = [world.thing(number)]
    if count > 2 and draw.random() < TWICE:
        things = world.several(draw, world.countable(number), 2)
    curtain = draw.choice(CURTAINS) if draw.random() < CURTAINED else None
    scene = world.scene(draw, things, count=count, curtain=curtain)
    places = _two_places(draw, scene) if count == 2 else _places(draw, scene)
    third = _list if draw.random() < LISTED else _at_sides
    texts = [places, _at_sides(draw, scene), third(draw, scene)]
    objects = [{"name": each.thing.name, "box": list(each.box)} for each in scene.objects]
    return [Sample((scene,), texts, {"objects": objects})]


def ids(place: Place) -> dict[str, object]:
    """Name a picture."""
    return {"image_id": place.image_id}


CAPTIONS = Task("pairs", (Template(caption, 1),), ids)


def _two_places(draw: random.Random, scene: Scene) -> str:
    """Say all of how two things lie: else it would be true of many other pictures."""
    one, other = draw.sample(scene.objects, 2)
    hows = sorted(relations(one.box, other.box, scene.size))
    draw.shuffle(hows)
    text = f"{a(one.thing.name)} {draw.choice(HOW[hows[0]])} {a(other.thing.name)}"
    for how in hows[1:]:
        back = draw.choice(HOW[OPPOSITE[how]])
        text += f", the {other.thing.name} {back} the {one.thing.name}"
    return f"{text} and {a(CURTAIN) if scene.curtain else 'nothing else'}"


def _places(draw: random.Random, scene: Scene) -> str:
    """Say of each thing where it is as seen from another: "a cat left of a dog and ..."."""
    names = [each.thing.name for each in scene.objects]
    alone = [each for each in scene.objects if names.count(each.thing.name) == 1]
    first = draw.choice(alone)
    others = [each for each in scene.objects if each is not first]
    draw.shuffle(others)
    told = [first]
    parts: list[str] = []
    for each in others:
        known = draw.choice([one for one in told if one in alone])
        how = draw.choice(HOW[_relation(draw, each, known, scene.size)])
        again = each.thing.name in (one.thing.name for one in told)
        subject = f"another {each.thing.name}" if again else a(each.thing.name)
        anchor = f"the {known.thing.name}" if parts else a(known.thing.name)
        parts.append(f"{subject} {how} {anchor}")
        told.append(each)
    return joined(parts)


def _list(draw: random.Random, scene: Scene) -> str:
    names = [each.thing.name for each in scene.objects]
    return draw.choice(LISTS).format(listed(draw.sample(names, len(names))))


def _at_sides(draw: random.Random, scene: Scene) -> str:
    """Say of things at which side they are; of the middle nothing is said."""
    if scene.curtain is not None:
        names = [each.thing.name for each in scene.objects]
        return listed([*draw.sample(names, len(names)), CURTAIN])
    told = list(_sides(draw, scene).items())
    if len(told) > 2 and draw.random() < SILENT:
        told = draw.sample(told, 2)
    parts: list[str] = []
    for name, places in told:
        whole = all(places)  # else "a cat and a cat at the top": one or two?
        parts += [f"{a(name)} {at}" for at in places] if whole else [counted(name, len(places))]
    draw.shuffle(parts)
    return joined(parts)


def _sides(draw: random.Random, scene: Scene) -> dict[str, list[str]]:
    """Where in the picture each thing is, or "", by name, in an order drawn by lot."""
    found: dict[str, list[str]] = {}
    for each in draw.sample(scene.objects, len(scene.objects)):
        found.setdefault(each.thing.name, []).append(corner(sides(each.box, scene.size)))
    return found


def _relation(draw: random.Random, one: Placed, other: Placed, size: int) -> str:
    return draw.choice(sorted(relations(one.box, other.box, size)))
