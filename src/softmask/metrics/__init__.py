"""Metrics as pure functions."""

from softmask.metrics.classes import accuracy, class_accuracies, consistency, majority
from softmask.metrics.retrieval import chance_at_one, rank_of_correct, recall_at_k

__all__ = [
    "accuracy",
    "chance_at_one",
    "class_accuracies",
    "consistency",
    "majority",
    "rank_of_correct",
    "recall_at_k",
]
