"""Metrics as pure functions."""

from softmask.metrics.answers import normalise_answer
from softmask.metrics.retrieval import chance_at_one, rank_of_correct, recall_at_k
from softmask.metrics.vqa import PEOPLE, agreement, comparable, vqa_accuracy

__all__ = [
    "PEOPLE",
    "agreement",
    "chance_at_one",
    "comparable",
    "normalise_answer",
    "rank_of_correct",
    "recall_at_k",
    "vqa_accuracy",
]
