"""Overlap against counted pixels, box scores against a loop, the pointing game at its edges."""

import itertools
import random

import pytest
import tiny
import torch

from softmask.metrics import (
    box_iou,
    box_scores,
    cover_share,
    energy_inside,
    peak,
    points_into,
)

NONE = [float("nan")] * 4


def pixels_of(box):
    x, y, w, h = box
    return set(itertools.product(range(x, x + w), range(y, y + h)))


def counted(one, other):
    both = pixels_of(one) & pixels_of(other)
    # REFER's rule: an overlap one pixel wide is none.
    if min(len({p[axis] for p in both}) for axis in (0, 1)) < 2:
        both = set()
    return len(both) / (len(pixels_of(one)) + len(pixels_of(other)) - len(both))


def test_iou_counts_pixels():
    draw = random.Random(0)
    boxes = [
        [draw.randint(0, 9), draw.randint(0, 9), draw.randint(1, 9), draw.randint(1, 9)]
        for _ in range(400)
    ]
    pairs = list(itertools.pairwise(boxes))
    expected = [counted(one, other) for one, other in pairs]
    one, other = (torch.tensor(side, dtype=torch.float) for side in zip(*pairs, strict=True))
    torch.testing.assert_close(box_iou(one, other), torch.tensor(expected))
    assert len(set(expected)) > 50
    assert 0 in expected


@pytest.mark.parametrize(
    ("one", "other", "iou"),
    [
        ([3.0, 4, 10, 8], [3.0, 4, 10, 8], 1.0),
        ([0.0, 0, 10, 10], [9.0, 0, 10, 10], 0.0),  # one column in common
        ([0.0, 0, 10, 10], [8.0, 0, 10, 10], 20 / 180),
        ([0.5, 0, 2, 2], [1.0, 0, 2, 2], 3 / 5),
        ([0.0, 0, 10, 10], NONE, 0.0),
    ],
)
def test_iou_of_known_boxes(one, other, iou):
    for pair in ((one, other), (other, one)):
        assert box_iou(*map(torch.tensor, pair)).item() == pytest.approx(iou)


def test_edges_of_boxes_are_those_of_the_decimals():
    """9.8 + 78.2 is 88, but a little less in float32: int() would cut a column off."""
    boxes = torch.tensor([[9.8, 0, 78.2, 1], [348.46, 0, 4.54, 1], [260.55, 0, 252.45, 1]])
    sums = box_scores(torch.ones(1, 600), boxes, power=0.0)
    assert sums.tolist() == [88 - 9, 353 - 348, 513 - 260]


def slow_scores(saliency, boxes, power):
    """The official evaluation, pixel by pixel."""
    scores = []
    for x, y, w, h in boxes:
        total = 0.0
        for row in range(int(y), int(y + h)):
            for column in range(int(x), int(x + w)):
                if row < len(saliency) and column < len(saliency[0]):
                    total += saliency[row][column]
        scores.append(total / (w * h) ** power)
    return scores


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_box_scores_equal_sums_pixel_by_pixel(power):
    saliency = tiny.draw(13, 17)
    draw = random.Random(1)
    boxes = [[draw.uniform(0, 12), draw.uniform(0, 9), draw.uniform(1, 9), draw.uniform(1, 9)]]
    boxes += [[draw.uniform(0, 12), draw.uniform(0, 9), 5.0, 4.0] for _ in range(20)]
    boxes += [[0.0, 0.0, 17.0, 13.0], [15.3, 11.9, 4.0, 4.0]]  # all; over the edge
    expected = slow_scores(saliency.tolist(), boxes, power)
    got = box_scores(saliency, torch.tensor(boxes), power)
    torch.testing.assert_close(got, torch.tensor(expected), rtol=1e-5, atol=1e-5)


def test_box_that_is_not_there_is_never_the_best():
    scores = box_scores(-torch.ones(4, 4), torch.tensor([NONE, [0.0, 0, 4, 4], NONE]))
    assert scores.argmax() == 1
    assert scores.tolist() == [float("-inf"), -4.0, float("-inf")]


def test_square_root_of_the_area_lies_between_sum_and_mean():
    """A small hot box wins by the mean, a large lukewarm one by the sum."""
    saliency = torch.full((10, 10), 1.0)
    saliency[0, 0] = 2
    boxes = torch.tensor([[0.0, 0, 1, 1], [0.0, 0, 10, 10], [0.0, 0, 5, 5]])
    assert box_scores(saliency, boxes, 1.0).argmax() == 0
    assert box_scores(saliency, boxes, 0.0).argmax() == 1
    torch.testing.assert_close(box_scores(saliency, boxes), torch.tensor([2.0, 10.1, 5.2]))


def test_large_maps_do_not_lose_small_boxes():
    """In float32 the sum over a million pixels would swallow a pixel's thousandth."""
    saliency = torch.full((1000, 1000), 1.0)
    saliency[999, 999] = 1.001
    boxes = torch.tensor([[998.0, 998, 1, 1], [999.0, 999, 1, 1]])
    torch.testing.assert_close(box_scores(saliency, boxes), torch.tensor([1.0, 1.001]))


def test_peak_is_the_centre_of_the_first_largest_pixel():
    saliency = torch.zeros(3, 5)
    saliency[1, 4] = saliency[2, 0] = 2
    assert peak(saliency).tolist() == [4.5, 1.5]


@pytest.mark.parametrize(
    ("point", "tolerance", "hit"),
    [
        ((15.0, 22.0), 0, True),
        ((10.0, 20.0), 0, True),  # the corner
        ((9.9, 22.0), 0, False),
        ((9.9, 22.0), 0.2, True),
        ((20.5, 22.0), 0, False),
        ((23.0, 34.0), 5, True),  # 3 to the right of it and 4 below
        ((23.0, 34.0), 4.9, False),
    ],
)
def test_pointing_game(point, tolerance, hit):
    box = torch.tensor([10.0, 20, 10, 10])
    assert points_into(torch.tensor(point), box, tolerance).item() is hit


def test_nothing_points_into_a_box_that_is_not_there():
    assert not points_into(torch.tensor([1.0, 1]), torch.tensor(NONE), 1e9)


def test_energy_is_the_share_of_the_positive_part():
    saliency = torch.tensor([[1.0, -9, 0], [2, 3, 0]])
    assert energy_inside(saliency, torch.tensor([0.0, 0, 1, 2])).item() == pytest.approx(3 / 6)
    assert energy_inside(saliency, torch.tensor([0.0, 0, 3, 2])).item() == pytest.approx(1)
    assert energy_inside(torch.zeros(2, 2), torch.tensor([0.0, 0, 2, 2])).item() == 0


def test_even_map_has_the_energy_that_the_box_covers():
    box, size = torch.tensor([2.0, 1, 3, 4]), torch.tensor([8, 6])
    assert cover_share(box, size).item() == pytest.approx(0.25)
    assert energy_inside(torch.ones(6, 8), box).item() == pytest.approx(0.25)
