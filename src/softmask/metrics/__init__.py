"""Metrics as pure functions."""

from softmask.metrics.bootstrap import bootstrap_interval
from softmask.metrics.retrieval import (
    chance_at_one,
    rank_of_correct,
    recall_at_k,
    recall_intervals,
)

__all__ = [
    "bootstrap_interval",
    "chance_at_one",
    "rank_of_correct",
    "recall_at_k",
    "recall_intervals",
]
