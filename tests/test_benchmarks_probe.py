"""What the ablation asks every model: maps of known places, masks of known strength."""

import math

import pytest
import torch

from benchmarks.contrasted import calibration_error, contrast_report, hard_queries, same_text
from benchmarks.localise import judge_map, means, named_things, spread
from benchmarks.probe import _matching_error, opposed
from benchmarks.shortcut import ask, conditions, shortcut_report
from softmask.captions import Word

SIZE = torch.tensor([64, 64])
LEFT_TOP = torch.tensor([[0.0, 0.0, 32.0, 32.0]])


def quarter(row: int, column: int) -> torch.Tensor:
    """A map of 8 x 8 patches that is one in a quarter of the picture."""
    patches = torch.zeros(8, 8)
    patches[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 1
    return patches


def test_a_map_in_the_box_is_right_and_one_beside_it_wrong():
    right, wrong = (judge_map(quarter(*at), LEFT_TOP, SIZE) for at in ((0, 0), (1, 1)))
    assert (right["pointing"], wrong["pointing"]) == (1, 0)
    assert right["energy"] > 0.9
    assert wrong["energy"] < 0.1
    assert right["coverage"] > 0.95
    assert wrong["coverage"] == 0
    assert right["box_share"] == 0.25
    assert judge_map(torch.zeros(8, 8), LEFT_TOP, SIZE)["pointing"] == 0


def test_a_narrow_map_points_right_and_covers_little():
    patches = torch.zeros(8, 8)
    patches[1, 1] = 1
    found = judge_map(patches, LEFT_TOP, SIZE)
    assert found["pointing"] == 1
    assert found["coverage"] < 0.1
    assert found["precision"] == 1


def test_things_of_one_name_count_together():
    both = torch.tensor([[0.0, 0.0, 32.0, 32.0], [32.0, 32.0, 32.0, 32.0]])
    found = judge_map(quarter(1, 1), both, SIZE)
    assert found["pointing"] == 1
    assert found["coverage"] == pytest.approx(0.5, abs=0.05)


def test_spread_of_an_even_map_is_whole_and_of_a_point_nothing():
    assert spread(torch.ones(64))["entropy"] == pytest.approx(1)
    assert spread(torch.eye(8).flatten())["entropy"] == pytest.approx(math.log(8) / math.log(64))
    assert spread(torch.eye(8).flatten())["mean"] == pytest.approx(1 / 8)
    assert spread(torch.zeros(64)) == {"empty": 1.0}
    assert means([spread(torch.ones(64)), spread(torch.zeros(64))])["empty"] == 0.5


def test_things_are_found_by_the_words_of_their_names():
    text = "a Red heart left of a cat and another cat"
    words = [Word(word, at + 1, at + 2) for at, word in enumerate(text.split())]
    objects = [
        {"name": "red heart", "box": [0, 0, 4, 4]},
        {"name": "cat", "box": [8, 8, 4, 4]},
        {"name": "cat", "box": [16, 8, 4, 4]},
        {"name": "dog", "box": [30, 8, 4, 4]},
    ]
    heart, cat = named_things(words, objects)
    assert heart.words == (2, 4)
    assert cat.words == (7, 8)
    assert cat.boxes.tolist() == [[8, 8, 4, 4], [16, 8, 4, 4]]


def test_conditions_keep_the_norm_and_lose_the_place():
    maps = torch.rand(3, 16, generator=torch.Generator().manual_seed(1))
    found = conditions(maps)
    assert all((keep[:, 0] == 1).all() for keep in found.values())
    assert (found["plain"] == 1).all()
    assert torch.equal(found["masked"][:, 1:], 1 - maps)
    assert torch.equal(found["shuffled"].sort(dim=1)[0], found["masked"].sort(dim=1)[0])
    assert not torch.equal(found["shuffled"], found["masked"])
    assert torch.allclose(found["level"].sum(dim=1), found["masked"].sum(dim=1))


def test_a_model_that_reads_the_mask_alone_is_seen_through():
    maps = torch.full((4, 16), 0.5)
    texts = {"pairs": torch.arange(4), "even": torch.tensor([1, 2, 3, 0])}
    found = shortcut_report(ask(lambda places, keep: 1 - keep[:, 1], maps, texts))
    assert found["plain/pairs/accuracy"] == 0
    assert found["plain/even/accuracy"] == 1
    maps = torch.full((4, 16), 0.9)
    found = shortcut_report(ask(lambda places, keep: 1 - keep[:, 1], maps, texts))
    assert found["masked/pairs/accuracy"] == found["level/pairs/accuracy"] == 1
    assert found["masked/even/accuracy"] == found["level/even/accuracy"] == 0


def test_negatives_have_another_caption():
    captions = ["a", "a", "b", "c"]
    similarity = torch.tensor([[9.0, 9, 1, 2], [9, 9, 3, 2], [1, 1, 9, 0], [5.0, 4, 3, 9]])
    found = opposed(similarity, same_text(captions))
    assert found["hard"].tolist() == [3, 2, 0, 0]
    assert found["even"].tolist() == [2, 2, 3, 0]


def test_calibration_error_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    confidence = torch.rand(200, generator=generator)
    right = (torch.rand(200, generator=generator) < confidence**2).double()
    total = 0.0
    for b in range(10):
        inside = [i for i in range(200) if b / 10 <= confidence[i] < (b + 1) / 10]
        total += abs(sum(float(confidence[i]) - float(right[i]) for i in inside)) / 200
    assert calibration_error(confidence, right) == pytest.approx(total, rel=1e-5)
    assert calibration_error(torch.ones(5), torch.ones(5)) == 0


def test_calibration_of_matching_is_that_of_the_answer_given():
    """Said with 0.95, 0.75, 0.65 and 0.85, of which the first and the third are right."""
    asked = {"plain/pairs": torch.tensor([0.95, 0.25]), "plain/even": torch.tensor([0.35, 0.85])}
    assert _matching_error(asked) == pytest.approx((0.05 + 0.75 + 0.35 + 0.85) / 4)


def test_hard_queries_are_those_with_a_near_caption():
    captions = ["red heart big", "blue heart big", "one dog", "two cats", *"efgh"]
    assert hard_queries(captions).tolist() == [True, True, *[False] * 6]


def test_contrast_of_perfect_features_is_right_and_a_warm_softmax_unsure():
    features = torch.eye(8)
    captions = [f"caption {number}" for number in range(8)]
    cold = contrast_report(features, features, 0.01, captions)
    assert cold["i2t/r1"] == cold["t2i/r1_hard"] == 1
    assert cold["i2t/calibration_error"] < 1e-6
    warm = contrast_report(features, features, 1.0, captions)
    expected = 1 - math.e / (math.e + 7)
    assert warm["i2t/calibration_error"] == pytest.approx(expected)
    turned = contrast_report(features, features.roll(1, 0), 0.01, captions)
    assert turned["i2t/r1"] == 0
    equal = contrast_report(features, features.roll(1, 0), 0.01, ["same"] * 8)
    assert equal["i2t/r1"] == 1
