"""Metrics as pure functions."""

from softmask.metrics.retrieval import chance_at_one, rank_of_correct, recall_at_k

__all__ = ["chance_at_one", "rank_of_correct", "recall_at_k"]
