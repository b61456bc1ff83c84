"""Accuracy, the commonest class, consistency: against counting by hand and torchmetrics."""

import random

import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy

from softmask.metrics import accuracy, class_accuracies, consistency, majority


@pytest.fixture(params=range(5))
def rows(request):
    order = random.Random(request.param)
    count = order.randint(1, 40)
    columns = [[order.randrange(n) for _ in range(count)] for n in (3, 3, 9)]
    return [torch.tensor(column) for column in columns]


def test_accuracies_equal_torchmetrics(rows):
    predicted, label, _ = rows
    given = {"num_classes": 3, "average": "micro"}
    assert accuracy(predicted, label) == pytest.approx(
        multiclass_accuracy(predicted, label, **given).item()
    )
    each = multiclass_accuracy(predicted, label, num_classes=3, average="none")
    for number, share in enumerate(class_accuracies(predicted, label, 3)):
        if (label == number).any():
            assert share == pytest.approx(each[number].item())
        else:
            assert share is None


def test_majority_is_the_share_of_the_commonest_class(rows):
    labels = rows[1].tolist()
    assert majority(rows[1]) == max(labels.count(n) for n in range(3)) / len(labels)


def test_consistency_counts_sentences_as_nlvr2_does(rows):
    predicted, label, sentence = rows
    whole = {}
    for p, y, s in zip(*(column.tolist() for column in rows), strict=True):
        whole[s] = whole.get(s, True) and p == y
    assert consistency(predicted, label, sentence) == sum(whole.values()) / len(whole)


def test_one_wrong_pair_spoils_its_sentence_alone():
    label = torch.tensor([1, 0, 1, 0, 1])
    predicted = torch.tensor([1, 0, 1, 0, 0])
    sentence = torch.tensor([5, 5, 3, 3, 3])
    assert accuracy(predicted, label) == 0.8
    assert consistency(predicted, label, sentence) == 0.5
