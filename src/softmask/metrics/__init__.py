"""Metrics as pure functions."""

from softmask.metrics.answers import normalise_answer
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
from softmask.metrics.top import top_k_report
from softmask.metrics.vqa import PEOPLE, agreeing, agreement, comparable, vqa_accuracy

__all__ = [
    "PEOPLE",
    "RIGHT",
    "accuracy",
    "agreeing",
    "agreement",
    "bootstrap_interval",
    "box_iou",
    "box_scores",
    "chance_at_one",
    "class_accuracies",
    "comparable",
    "consistency",
    "cover_share",
    "energy_inside",
    "majority",
    "normalise_answer",
    "peak",
    "points_into",
    "rank_of_correct",
    "recall_at_k",
    "recall_intervals",
    "top_k_report",
    "vqa_accuracy",
]
