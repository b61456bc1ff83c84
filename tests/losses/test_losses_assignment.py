"""Text assignment: who is shown to whom, and how often."""

from itertools import product

import pytest
import tiny
import torch

from softmask.losses import assign, distractors, lonely

IDS = torch.tensor([7, 8, 7, 9])
FEATURES = torch.nn.functional.normalize(tiny.draw(4, 3, seed=3), dim=1)


def test_assignment_of_every_kind():
    kind = torch.tensor([0, 1, 2, 0])
    others = torch.tensor([[3, 1], [2, 0], [1, 3], [1, 2]])
    left, right = assign(kind, others)
    assert left.tolist() == [0, 2, 1, 3]
    assert right.tolist() == [3, 1, 3, 1]


def test_distractors_are_drawn_by_resemblance_without_replacement():
    """Against the probabilities of drawing two of an urn, computed by hand."""
    torch.manual_seed(0)
    temperature = 0.5
    weights = (FEATURES @ FEATURES.T / temperature).exp()
    weights[IDS[:, None] == IDS] = 0
    found = torch.stack([distractors(FEATURES, IDS, temperature) for _ in range(4000)])
    for row, (first, second) in product(range(4), product(range(4), repeat=2)):
        w = weights[row] / weights[row].sum()
        expected = 0.0
        if first != second and w[first] > 0 and w[second] > 0:
            expected = float(w[first] * w[second] / (1 - w[first]))
        share = (found[:, row] == torch.tensor([first, second])).all(dim=1).float().mean().item()
        assert share == pytest.approx(expected, abs=0.03)
        if expected == 0:
            assert share == 0


def test_fresh_noise_is_drawn_each_time():
    torch.manual_seed(0)
    found = {tuple(distractors(FEATURES, IDS, 1.0).flatten().tolist()) for _ in range(30)}
    assert len(found) > 3


def test_without_noise_the_likest_come_first():
    alike = (FEATURES @ FEATURES.T).masked_fill(IDS[:, None] == IDS, -9)
    expected = alike.argsort(dim=1, descending=True)[:, :2]
    assert distractors(FEATURES, IDS, 0.07, torch.zeros(4, 4)).equal(expected)


def test_lonely_rows_lack_two_others():
    for ids in product(range(3), repeat=4):
        expected = [sum(other != own for other in ids) < 2 for own in ids]
        assert lonely(torch.tensor(ids)).tolist() == expected


def test_a_batch_of_one_is_no_error():
    assert distractors(FEATURES[:1], IDS[:1], 0.07).shape == (1, 2)
