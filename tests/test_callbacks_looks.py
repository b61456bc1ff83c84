"""Rows of the panels of soft masks: which word, and its maps as the model itself gives them."""

import numpy as np
import pytest
import torch
from asked import write_model
from fake import draw
from PIL import Image

from data_modules.captioned import MakePairs
from data_modules.pictured import Reader
from data_modules.shards import Sample
from data_modules.text import Text, TextOptions
from softmask import SoftMask
from softmask.callbacks.looks import mark, soft_rows
from softmask.callbacks.panels import GroundingPanels, SoftMaskPanels
from softmask.errors import InputError
from softmask.panels import SIDE, Row, panel
from softmask.tasks import PretrainTask, SoftMasking

TEXTS = [
    "a red square on the left of a blue ground",
    "two xylophones of yellow",
    "red square on unbelievableness",
    "of the",
]
CHOSEN = [
    ("a", "red", "square on the left of a blue ground"),  # the first that names something
    ("two", "xylophones", "of yellow"),  # the second
    ("red square on", "unbelievableness", ""),  # the third, of several pieces
    ("of", "the", ""),  # none does: all count
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return SoftMask.from_pretrained(write_model(tmp_path_factory.mktemp("looks") / "model"))


@pytest.fixture(scope="module")
def task(model):
    """A pretraining of the model's own parts."""
    made = PretrainTask(model.backbone, soft_mask=SoftMasking(layer=model.config.mask_layer))
    made.matcher = model.matching()
    return made.eval()


@pytest.fixture(scope="module")
def pictures():
    return [draw("red", "square", "left", "blue", 40 + 10 * n) for n in range(len(TEXTS))]


@pytest.fixture(scope="module")
def pairs(pictures, tmp_path_factory):
    folder, samples = tmp_path_factory.mktemp("pairs"), []
    for number, (picture, text) in enumerate(zip(pictures, TEXTS, strict=True)):
        path = folder / f"{number}.png"
        Image.fromarray(picture).save(path)
        columns = {"png": path.read_bytes(), "txt": text.encode()}
        samples.append(Sample(number, "here", str(number), columns))
    return MakePairs(Reader(Text(TextOptions()), 32))(samples, 0)


def test_each_row_is_the_next_word_that_names_something(model, task, pairs):
    marked = mark(pairs, model.captions, 9)
    rows = soft_rows(task, pairs, model.captions, marked, hiding=False)
    assert [row[1:4] for row in rows] == CHOSEN
    assert all(row.hidden is None for row in rows)


@pytest.mark.parametrize(
    ("wanted", "samples", "expected"),
    [
        (["blue", "square"], 2, [(0, "blue"), (2, "square")]),  # each word in a pair of its own
        (["yellow", "green"], 3, [(1, "yellow"), (0, "red"), (2, "unbelievableness")]),
        (["BLUE", "Xylophones"], 2, [(0, "blue"), (1, "xylophones")]),
        (["red", "two", "the"], 1, [(0, "red")]),
        ([], 0, []),
    ],
)
def test_wanted_words_come_first(model, pairs, wanted, samples, expected):
    marked = mark(pairs, model.captions, samples, wanted)
    assert [(row, words[at]) for row, words, at in marked] == expected


def test_maps_are_those_of_the_model(model, task, pairs, pictures):
    order = [2, 0, 3]
    marked = [chosen for row in order for chosen in mark(pairs, model.captions, 9)[row : row + 1]]
    rows = soft_rows(task, pairs, model.captions, marked, hiding=True)
    for row, pair in zip(rows, order, strict=True):
        text, picture = TEXTS[pair], pictures[pair]
        at = len(row.before.split())
        looked = model.explain(picture, text)
        hidden = model.explain(picture, text, by="hiding")
        torch.testing.assert_close(row.patches, looked.maps[at])
        torch.testing.assert_close(row.hidden, hidden.maps[at])
        assert row.hidden.max() == 1
        assert row.plain == pytest.approx(looked.match, rel=1e-5)
        assert row.masked == pytest.approx(float(looked.masked[at]), rel=1e-5)


def test_a_panel_shows_maps_by_hiding_where_there_are_any():
    image = np.full((8, 8, 3), 200, dtype=np.uint8)
    looked, hidden = torch.tensor([[1.0, 0], [0, 0]]), torch.tensor([[0, 0], [0, 1.0]])
    drawn = panel([Row(image, "a", "red", "thing", looked, 0.9, 0.4, hidden)]).astype(int)
    plain = panel([Row(image, "a", "red", "thing", looked, 0.9, 0.4)])
    assert drawn.shape[1] == plain.shape[1] + SIDE + 12
    assert (drawn[34 : 34 + SIDE, : plain.shape[1] - 12] == plain[34 : 34 + SIDE, :-12]).all()
    left = 12 + 3 * (SIDE + 12)
    red, _, blue = drawn[34 + SIDE - 8, left + SIDE - 8]
    assert red - blue > 50
    red, _, blue = drawn[34 + 8, left + 8]
    assert abs(red - blue) < 5


@pytest.mark.parametrize("kind", [SoftMaskPanels, GroundingPanels])
def test_a_negative_number_of_samples_is_refused(kind):
    with pytest.raises(InputError, match=rf"{kind.__name__}\.samples is -1: give 0 or more"):
        kind(samples=-1)
