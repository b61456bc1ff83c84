"""Scores of classifications.

R rows, K classes. Rows without a known label are for the caller to leave out.
"""

import torch
from torch import Tensor


def accuracy(predicted: Tensor, label: Tensor) -> float:
    """Share of rows whose class is the label's, both (R,)."""
    return int((predicted == label).sum()) / len(label)


def majority(label: Tensor) -> float:
    """Accuracy of who always names the commonest class of the labels (R,)."""
    return int(label.bincount().max()) / len(label)


def class_accuracies(predicted: Tensor, label: Tensor, classes: int) -> list[float | None]:
    """Accuracy on the rows of each class; None where there are none.

    Args:
        predicted: (R,).
        label: (R,).
        classes: K.
    """
    there = [label == number for number in range(classes)]
    return [accuracy(predicted[own], label[own]) if own.any() else None for own in there]


def consistency(predicted: Tensor, label: Tensor, sentence_id: Tensor) -> float:
    """Share of sentences that are right with every pair of images (NLVR2's second metric).

    Args:
        predicted: (R,).
        label: (R,).
        sentence_id: equal for one sentence's rows, (R,).
    """
    ids, sentence = torch.unique(sentence_id, return_inverse=True)
    right = (predicted == label).long()
    whole = torch.ones_like(ids).scatter_reduce(0, sentence, right, "amin")
    return int(whole.sum()) / len(ids)
