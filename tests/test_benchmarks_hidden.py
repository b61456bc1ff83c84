"""The probe of a model: what it says of maps and matches is what `explain` shows of each pair."""

import random

import pytest
import torch
from asked import write_model
from fake import draw

from benchmarks import probe
from benchmarks.localise import judge_map, means
from softmask import SoftMask
from softmask.explain import AROUND

SIZE = 32
SCENES = [
    ("a red square left of a small blue circle", {"red square": 0, "blue circle": 16, "star": 8}),
    ("nothing to name", {"red square": 0}),
    ("the green circle", {"green circle": 8}),
]
ASKED = [("a red square", 0), ("a small blue circle", 0), ("the green circle", 2)]
"""What is asked for each thing named, and of which picture."""
SINGLE = {"square": 0, "circle": 16}
"""Things of one word each, whose maps `explain` shows as they are."""
FREE = ("pointing", "coverage", "precision", "centre")
"""Figures that do not depend on a map's scale."""
CONTENT = [(0, {1, 2, 3, 6, 7, 8}), (1, {0, 2}), (2, {1, 2})]
"""Of each picture the places of words that name something: of "the green circle" the last two."""


def box_of(left):
    return torch.tensor([[left, 0.0, 16, 16]])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return SoftMask.from_pretrained(write_model(tmp_path_factory.mktemp("hidden") / "model"))


@pytest.fixture(scope="module")
def pairs():
    colours = ("red", "white", "green")
    return [
        probe.Pair(
            draw(colour, "square", "left", "black", SIZE),
            text,
            [{"name": name, "box": [left, 0, 16, 16]} for name, left in things.items()],
        )
        for colour, (text, things) in zip(colours, SCENES, strict=True)
    ]


def test_things_are_judged_by_the_maps_of_explain(model, pairs):
    found = probe.judge_hidden(model, probe._look(model, pairs).keys, pairs)
    boxes = [(0, 0), (0, 16), (2, 8)]
    assert len(found) == len(ASKED)
    for (text, row), (_, left), one in zip(ASKED, boxes, found, strict=True):
        patches = model.explain(pairs[row].pixels, text, by="hiding").maps[-1]
        expected = judge_map(patches, box_of(left), torch.tensor([SIZE, SIZE]))
        for figure in FREE:
            assert one[figure] == pytest.approx(expected[figure]), (text, figure)


def test_a_model_that_sees_one_place_alone_points_there(model, pairs, monkeypatch):
    """An oracle: hiding costs at the left top alone, whatever is asked."""

    def falls(_fusion, _matcher, states, mask, keys, *, grid, around):
        assert around == AROUND
        assert len(states) == len(mask) == len(keys.layers[0]) == len(ASKED)
        maps = torch.zeros(len(states), *grid)
        maps[:, 0, 0] = 1
        return maps

    monkeypatch.setattr(probe, "occlusion_maps", falls)
    found = probe.judge_hidden(model, probe._look(model, pairs).keys, pairs)
    assert [one["pointing"] for one in found] == [1, 0, 0]


def test_the_topic_is_there_where_it_is_asked_for(model, pairs):
    plain, both = (probe.probe(model, pairs, hiding) for hiding in (False, True))
    assert "hidden" not in plain
    assert both.pop("hidden")["count"] == both["boxes"]["count"] == len(ASKED)
    assert both == plain
    nameless = [pair._replace(objects=()) for pair in pairs]
    assert not {"hidden", "boxes"} & set(probe.probe(model, nameless, hiding=True))


@pytest.fixture
def looked(model, pairs, monkeypatch):
    """The report of a probe of two pairs at once, and what `explain` shows of each pair."""
    monkeypatch.setattr(probe, "BATCH", 2)
    named = [{"name": name, "box": [left, 0, 16, 16]} for name, left in SINGLE.items()]
    given = [pair._replace(objects=named) for pair in pairs]
    return probe.probe(model, given), [model.explain(pair.pixels, pair.caption) for pair in pairs]


def test_maps_and_boxes_are_those_of_the_words(looked):
    report, shown = looked
    shares = [shown[row].maps[at].mean() for row, places in CONTENT for at in places]
    assert report["maps"]["count"] == len(shares)
    assert report["maps"]["mean"] == pytest.approx(float(sum(shares) / len(shares)), rel=1e-4)
    judged = [
        judge_map(one.maps[one.words.index(name)], box_of(left), torch.tensor([SIZE, SIZE]))
        for one in shown
        for name, left in SINGLE.items()
        if name in one.words
    ]
    assert len({one["coverage"] for one in judged}) == len(judged)
    expected = means(judged)
    assert {name: report["boxes"][name] for name in FREE} == pytest.approx(
        {name: expected[name] for name in FREE}
    )
    assert report["boxes"]["count"] == expected["count"]


def test_matches_are_those_of_the_words_drawn(looked, model, pairs):
    report, shown = looked
    masked = [
        one.masked[random.Random(row).randrange(len(one.words))] for row, one in enumerate(shown)
    ]
    found = report["shortcut"]
    assert found["masked/pairs/match"] == pytest.approx(float(sum(masked)) / 3, rel=1e-4)
    whole = sum(one.match for one in shown) / 3
    assert found["plain/pairs/match"] == pytest.approx(whole, rel=1e-4)
    assert found["masked/pairs/match"] != pytest.approx(whole, rel=1e-2)
    captions = [pair.caption for pair in pairs]
    others = model.score([pair.pixels for pair in pairs], [*captions[1:], captions[0]])
    assert found["plain/even/match"] == pytest.approx(float(others.mean()), rel=1e-4)
