"""Metrics as pure functions."""

from softmask.metrics.bootstrap import bootstrap_interval
from softmask.metrics.classes import accuracy, class_accuracies, consistency, majority
from softmask.metrics.grounding import (
    RIGHT,
    box_iou,
    box_scores,
    cover_share,
    energy_inside,
    peak,
    points_into,
)
from softmask.metrics.retrieval import (
    chance_at_one,
    rank_of_correct,
    recall_at_k,
    recall_intervals,
)

__all__ = [
    "RIGHT",
    "accuracy",
    "bootstrap_interval",
    "box_iou",
    "box_scores",
    "chance_at_one",
    "class_accuracies",
    "consistency",
    "cover_share",
    "energy_inside",
    "majority",
    "peak",
    "points_into",
    "rank_of_correct",
    "recall_at_k",
    "recall_intervals",
]
