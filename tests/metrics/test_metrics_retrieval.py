"""Recall at k against a sorted list, with the scores that break careless rankings."""

import pytest
import reference
import torch
from tiny import draw

from softmask.metrics import chance_at_one, rank_of_correct, recall_at_k


def some_correct(queries, candidates, seed, share=0.2):
    correct = draw(queries, candidates, seed=seed).sigmoid() < share
    correct[torch.arange(queries), torch.arange(queries) % candidates] = True
    return correct


@pytest.mark.parametrize("shift", [0.0, -50.0, -1e4])
def test_recall_equals_its_definition_whatever_the_sign(shift):
    scores = draw(40, 25) + shift
    correct = some_correct(40, 25, seed=1)
    got = recall_at_k(scores, correct, ks=(1, 3, 10))
    assert got == pytest.approx(
        {f"r{k}": reference.recall_at_k(scores, correct, k) for k in (1, 3, 10)}
    )
    assert 0 < got["r1"] < got["r3"] < got["r10"]


def test_ties_count_against():
    scores = draw(40, 25).round()
    correct = some_correct(40, 25, seed=1, share=0.05)
    got = recall_at_k(scores, correct)
    assert got == pytest.approx(
        {f"r{k}": reference.recall_at_k(scores, correct, k) for k in (1, 5, 10)}
    )
    flat = recall_at_k(torch.zeros(4, 20), torch.eye(4, 20, dtype=torch.bool))
    assert flat == {"r1": 0.0, "r5": 0.0, "r10": 0.0}


def test_several_correct_ones_are_not_in_each_others_way():
    scores = torch.tensor([[-3.0, -1.0, -1.0, -2.0, -9.0]])
    correct = torch.tensor([[False, True, True, False, True]])
    assert rank_of_correct(scores, correct).tolist() == [0]
    assert rank_of_correct(-scores, correct).tolist() == [0]
    assert rank_of_correct(scores, torch.tensor([[True, False, False, False, True]])).tolist() == [
        3
    ]


def test_perfect_ranking_with_five_captions_an_image_is_one():
    image = torch.arange(6)
    correct = image[:, None] == image.repeat_interleave(5)
    scores = torch.where(correct, -1.0, -2.0) + 0.1 * draw(6, 30).tanh()
    for s, c in ((scores, correct), (scores.T, correct.T)):
        assert recall_at_k(s, c) == {"r1": 1.0, "r5": 1.0, "r10": 1.0}


def test_undefined_scores_are_not_a_hit():
    correct = torch.eye(3, 12, dtype=torch.bool)
    assert recall_at_k(torch.full((3, 12), torch.nan), correct) == {"r1": 0, "r5": 0, "r10": 0}


def test_permuting_queries_and_candidates_changes_nothing():
    scores, correct = draw(9, 7), some_correct(9, 7, seed=1)
    rows, columns = torch.randperm(9), torch.randperm(7)
    mixed = rank_of_correct(scores[rows][:, columns], correct[rows][:, columns])
    assert torch.equal(mixed, rank_of_correct(scores, correct)[rows])


def test_chance_is_the_recall_of_random_orders():
    correct = some_correct(10, 8, seed=2)
    expected = sum(sum(row) / len(row) for row in correct.tolist()) / len(correct)
    assert chance_at_one(correct) == pytest.approx(expected)
    drawn = [recall_at_k(draw(10, 8, seed=s), correct, ks=(1,))["r1"] for s in range(400)]
    assert sum(drawn) / 400 == pytest.approx(expected, abs=0.03)
