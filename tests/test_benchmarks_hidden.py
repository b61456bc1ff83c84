"""The probe of maps by hiding: each named thing judged by the map that `explain` shows of it."""

import pytest
import torch
from asked import write_model
from fake import draw

from benchmarks import probe
from benchmarks.localise import judge_map
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
        box = torch.tensor([[left, 0.0, 16, 16]])
        expected = judge_map(patches, box, torch.tensor([SIZE, SIZE]))
        for figure in ("pointing", "coverage", "precision", "centre"):  # whatever a map's scale
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
