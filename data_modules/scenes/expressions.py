"""Referring expressions with the box of the one thing that they fit, as in RefCOCO."""

import random
from collections.abc import Sequence

from data_modules.scenes.english import AT, AT_MORE, HOW
from data_modules.scenes.geometry import FAINT, RELATIONS, Box, relations, shared
from data_modules.scenes.layout import Where
from data_modules.scenes.render import Scene
from data_modules.scenes.samples import Place, Sample, Task, Template, related
from data_modules.scenes.world import World

DISTRACTORS = 3
THROWS = 10  # of a distractor; the one that hits least counts
HIT = 0.5  # most of a distractor's area that a thing's box may share


def by_name(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Name a thing; where names have a colour, a thing of the same kind or colour is often near."""
    thing = world.thing(number)
    scene = world.scene(draw, [thing, *world.like(draw, thing)])
    return [_referred(draw, f"the {thing.name}", scene)]


def by_kind(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Name a thing by its kind alone."""
    kinds = world.shapes(2)
    kind = kinds[number % len(kinds)]
    thing = world.one(draw, kind)
    scene = world.scene(draw, [thing], lacking=[kind])
    return [_referred(draw, f"the {kind}", scene)]


def by_side(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Tell one of two of a sort from the other by its side."""
    noun, how = world.noun(number), draw.choice(RELATIONS)
    first, second = world.several(draw, noun, 2)
    where = related(how, world.size)
    scene = world.scene(draw, [first, second], lacking=[noun], where=where)
    return [_referred(draw, f"the {noun} {AT[AT_MORE[how]]}", scene)]


def by_other(world: World, number: int, draw: random.Random) -> list[Sample]:
    """Tell one of two of a sort from the other by a thing that it is left of, and so on."""
    noun, how = world.noun(number), draw.choice(RELATIONS)
    first, second, other = world.two_and_other(draw, noun)
    where = _first_alone(how, world.size)
    scene = world.scene(draw, [first, second, other], lacking=[noun, other.name], where=where)
    text = f"the {noun} {draw.choice(HOW[how])} the {other.name}"
    return [_referred(draw, text, scene)]


def ids(place: Place) -> dict[str, object]:
    """Name an expression as RefCOCO does."""
    return {"ref_id": place.unique, "split": place.split, "image_id": place.image_id}


EXPRESSIONS = Task(
    "grounding",
    tuple(Template(make, 1) for make in (by_name, by_name, by_kind, by_side, by_other)),
    ids,
)
"""Five expressions a round."""


def _first_alone(how: str, size: int) -> Where:
    def where(boxes: Sequence[Box]) -> bool:
        first, second, other = boxes[:3]
        return how in relations(first, other, size) and how not in relations(
            second, other, size, FAINT
        )

    return where


def _referred(draw: random.Random, text: str, scene: Scene) -> Sample:
    """Refer to the first of a scene's things."""
    boxes = [placed.box for placed in scene.objects]
    detections = [*boxes, *_distractors(draw, boxes, scene.size)]
    draw.shuffle(detections)
    box, found = list(boxes[0]), [list(each) for each in detections]
    return Sample((scene,), [text], {"box": box, "size": [scene.size] * 2, "detections": found})


def _distractors(draw: random.Random, boxes: Sequence[Box], size: int) -> list[Box]:
    """Give boxes as large as those of things, mostly where no thing is."""
    found: list[Box] = []
    while len(found) < DISTRACTORS:
        w, h = draw.choice(boxes)[2:]
        thrown = [
            Box(draw.randint(0, size - w), draw.randint(0, size - h), w, h) for _ in range(THROWS)
        ]
        best = min(thrown, key=lambda box: max(shared(box, other) for other in boxes))
        if all(shared(best, other) <= HIT * w * h for other in boxes):
            found.append(best)
    return found
