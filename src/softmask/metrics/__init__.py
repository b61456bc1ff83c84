"""Metrics as pure functions."""

from softmask.metrics.answers import normalise_answer
from softmask.metrics.classes import accuracy, class_accuracies, consistency, majority
from softmask.metrics.retrieval import chance_at_one, rank_of_correct, recall_at_k
from softmask.metrics.vqa import PEOPLE, agreeing, agreement, comparable, vqa_accuracy

__all__ = [
    "PEOPLE",
    "accuracy",
    "agreeing",
    "agreement",
    "chance_at_one",
    "class_accuracies",
    "comparable",
    "consistency",
    "majority",
    "normalise_answer",
    "rank_of_correct",
    "recall_at_k",
    "vqa_accuracy",
]
