"""Every text is true of its scene: an oracle reads the text and looks at the boxes."""

import re
from itertools import combinations

import numpy as np
import pytest
import scene_oracle as oracle
from scene_expressions import describes, referred
from scene_oracle import seen

from data_modules.scenes.vocabulary import find_level, read_things
from data_modules.scenes.write import Options, make_world, places, tasks_at

CASES = [(1, "train", 160), (1, "test", 160), (2, "val", 80), (3, "test", 80)]


@pytest.fixture(scope="module", params=CASES, ids=str)
def samples(request):
    """By task, of a level and split."""
    level, split, few = request.param
    options = Options(few, few, level, 96, 3)
    world = make_world(options, split, read_things(find_level(level)))
    return {name: list(composed(world, task, options)) for name, task in tasks_at(level).items()}


def composed(world, task, options):
    for group in sorted({place.group for place in places(task, world.split, options)}):
        yield from task.compose(world, group, options.seed)


def test_captions(samples):
    kinds = set()
    for sample in samples["pairs"]:
        view = seen(sample.scenes[0])
        assert len(sample.texts) == 3
        assert all(describes(view, text) for text in sample.texts), (sample.texts, view)
        names = [name for name, _ in view.objects]
        assert all(name in sample.texts[0] for name in names)
        kinds.add((view.curtain is not None, len(set(names)) < len(names)))
    assert len(kinds) == 4


def test_questions(samples):
    kinds = set()
    for sample in samples["vqa"]:
        assert [oracle.answer(seen(sample.scenes[0]), sample.texts[0])] == sample.notes["answers"]
        kinds.add(sample.notes["question_type"])
    assert len(kinds) == 10


@pytest.mark.parametrize(("level", "kinds"), [(1, 6), (2, 10), (3, 10)])
def test_numbers_and_places_in_two_pictures_are_compared_from_level_2_on(level, kinds):
    statements = tasks_at(level)["nlvr2"]
    assert (len(statements.templates), statements.round) == (kinds, 4 * kinds)
    world = make_world(Options(1, 1, level, 96, 3), "train", read_things(find_level(level)))
    texts = [statements.compose(world, group, 3)[0].texts[0] for group in range(kinds)]
    hard = "more things|more objects|each picture|exactly one|in both pictures the"
    assert sum(bool(re.search(hard, text)) for text in texts) == kinds - 6, texts


def test_statements(samples):
    for sample in samples["nlvr2"]:
        left, right = map(seen, sample.scenes)
        assert oracle.judged(left, right, sample.texts[0]) is sample.notes["label"], sample


def test_hypotheses(samples):
    hung = {label: set() for label in ("entailment", "contradiction", "neutral")}
    for sample in samples["snli_ve"]:
        view = seen(sample.scenes[0])
        assert oracle.label(view, sample.texts[0]) == sample.notes["label"], sample
        hung[sample.notes["label"]].add(view.curtain is not None)
    # A curtain alone tells neither entailment nor contradiction.
    assert hung == {
        "entailment": {True, False},
        "contradiction": {True, False},
        "neutral": {True},
    }


def test_expressions(samples):
    for sample in samples["grounding"]:
        view, notes = seen(sample.scenes[0]), sample.notes
        assert list(referred(view, sample.texts[0])) == notes["box"], sample
        assert notes["size"] == [view.size] * 2
        assert all(list(box) in notes["detections"] for _, box in view.objects)
        assert len(notes["detections"]) == len(view.objects) + 3


def test_objects_are_inside_apart_and_off_the_curtain(samples):
    for task in samples:
        for sample in samples[task][:80]:
            for scene in sample.scenes:
                check_places(seen(scene))


def check_places(view):
    for _, (x, y, w, h) in view.objects:
        assert 0 < x < x + w < view.size
        assert 0 < y < y + h < view.size
        assert not view.curtain or not area((x, y, w, h), view.curtain)
    for (_, one), (_, other) in combinations(view.objects, 2):
        assert area(one, other) <= 0.08 * min(one[2] * one[3], other[2] * other[3])


def area(one, other):
    covered = np.zeros((2, 96, 96), bool)
    for mask, (x, y, w, h) in zip(covered, (one, other), strict=True):
        mask[y : y + h, x : x + w] = True
    return covered.all(axis=0).sum()
