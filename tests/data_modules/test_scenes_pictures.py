"""What pictures of scenes show, and the words that texts are made of."""

import random

import cv2
import numpy as np
import pytest

from data_modules.scenes.english import a, counted, listed, plural
from data_modules.scenes.render import Drawings, render
from data_modules.scenes.vocabulary import find_level, read_things
from data_modules.scenes.write import TASKS, Options, make_world
from softmask.tokenizer import load_tokenizer


@pytest.fixture(scope="module")
def world():
    return make_world(Options(1, 1, 1, 96, 0), "train", read_things(find_level(1)))


def pixels(scene, drawings):
    data = np.frombuffer(render(scene, drawings), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR).astype(int)


def test_a_box_is_where_a_thing_is_and_tight(world):
    draw = random.Random(0)
    for number in range(48):
        scene = world.scene(draw, [world.thing(number)], curtain="left" if number % 2 else None)
        box = scene.objects[0].box
        alone = scene._replace(objects=scene.objects[:1])
        bare = scene._replace(objects=())
        rows, columns = np.nonzero(
            np.abs(pixels(alone, world.drawings) - pixels(bare, world.drawings)).max(axis=2) > 12
        )
        found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        wanted = box.x, box.y, box.x + box.w, box.y + box.h
        assert np.abs(np.subtract(found, wanted)).max() <= 3, scene.objects[0]


@pytest.mark.parametrize(("name", "most"), [("red heart", 2), ("blue heart", 0)])
def test_a_thing_has_the_colour_of_its_name(world, name, most):
    draw = random.Random(0)
    scene = world.scene(draw, [world.one(draw, name)])
    x, y, w, h = scene.objects[0].box
    means = pixels(scene, world.drawings)[y : y + h, x : x + w].mean((0, 1))
    assert means.argmax() == most
    assert means[most] > means.min() + 50


def test_a_curtain_hides_what_is_behind_it(world):
    scene = world.scene(random.Random(0), curtain="corner")
    x, y, w, h = scene.curtain
    shown = pixels(scene, world.drawings)
    behind = shown[y : y + h, x : x + w]
    assert {tuple(pixel) for pixel in behind.reshape(-1, 3)} == {(96,) * 3, (150,) * 3}
    assert not (shown == 96).all(axis=2)[y : y + h, :x].any()


def test_another_seed_gives_other_pictures(world):
    other = make_world(Options(1, 1, 1, 96, 1), "train", read_things(find_level(1)))
    one, two = (TASKS["pairs"].compose(each, 0, seed) for each, seed in ((world, 0), (other, 1)))
    assert one[0].scenes != two[0].scenes


def test_drawings_of_level_1_look_different():
    drawings = Drawings()
    small = {}
    for thing in read_things(find_level(1)):
        cut = cv2.resize(drawings.pixels(thing), (16, 16), interpolation=cv2.INTER_AREA)
        small[thing.name] = cut[..., :3] + 230 * (1 - cut[..., 3:])
    for one in small:
        for other in small:
            if one < other:
                assert np.abs(small[one] - small[other]).mean() > 8, (one, other)


@pytest.mark.parametrize(("level", "things"), [(1, 24), (2, 142)])
def test_words_are_single_pieces(level, things):
    tokenizer = load_tokenizer()
    names = [thing.name for thing in read_things(find_level(level))]
    assert len(set(names)) == len(names) == things
    for word in {word for name in names for word in name.split()}:
        assert len(tokenizer.tokenize(word)) == 1, word


def test_names_of_level_2_leave_no_doubt():
    things = read_things(find_level(2))
    kinds = {thing.kind for thing in things}
    for thing in things:
        assert not any(thing.clashes(other) for other in things)
        assert [noun for noun in kinds if thing.may_be(noun)] == [thing.kind]


def test_level_3_holds_the_corpus_but_for_names_that_read_in_two_ways():
    things = read_things(find_level(3))
    assert len(things) > 3800
    assert not any("and" in thing.name.split() for thing in things)


@pytest.mark.parametrize(
    ("noun", "one", "many"),
    [
        ("cat", "a cat", "two cats"),
        ("orange book", "an orange book", "two orange books"),
        ("unicorn", "a unicorn", "two unicorns"),
        ("umbrella", "an umbrella", "two umbrellas"),
        ("fish", "a fish", "two fish"),
        ("mouse", "a mouse", "two mice"),
        ("strawberry", "a strawberry", "two strawberries"),
        ("monkey", "a monkey", "two monkeys"),
        ("potato", "a potato", "two potatoes"),
        ("kangaroo", "a kangaroo", "two kangaroos"),
        ("bus", "a bus", "two buses"),
        ("watch", "a watch", "two watches"),
    ],
)
def test_english(noun, one, many):
    assert a(noun) == counted(noun, 1) == one
    assert counted(noun, 2) == f"two {plural(noun)}" == many


def test_lists():
    assert listed(["cat"]) == "a cat"
    assert listed(["cat", "dog", "cat"]) == "two cats and a dog"
    assert listed(["egg", "dog", "tree"]) == "an egg, a dog and a tree"
