"""Recall at k as the field defines it: is one correct item among the first k?

Q queries, C candidates. Several candidates may be correct for a query.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from softmask.metrics.bootstrap import bootstrap_interval

KS = (1, 5, 10)
"""The field's cut-offs."""


def rank_of_correct(scores: Tensor, correct: Tensor) -> Tensor:
    """How many wrong candidates stand before the best correct one; ties and NaN count against it.

    Args:
        scores: higher is better, any sign, (Q, C).
        correct: True where the candidate answers the query, at least one a row, (Q, C).

    Returns:
        0 for a hit at the first place, (Q,) int64.
    """
    best = scores.masked_fill(~correct, float("-inf")).amax(dim=1, keepdim=True)
    return (~(scores < best) & ~correct).sum(dim=1)


def recall_at_k(scores: Tensor, correct: Tensor, ks: Sequence[int] = KS) -> dict[str, float]:
    """Share of queries with a correct candidate among their first k.

    Args:
        scores: (Q, C).
        correct: (Q, C) bool.
        ks: cut-offs.

    Returns:
        `{"r1": ..., "r5": ..., "r10": ...}` in 0..1.
    """
    rank = rank_of_correct(scores, correct)
    return {f"r{k}": (rank < k).float().mean().item() for k in ks}


def recall_intervals(
    scores: Tensor, correct: Tensor, unit: Tensor, ks: Sequence[int] = KS
) -> dict[str, list[float]]:
    """95 % bootstrap intervals of `recall_at_k`.

    Args:
        scores: (Q, C).
        correct: (Q, C) bool.
        unit: the image that a query belongs to, from 0, (Q,): captions of one picture are drawn
            together, for they are right or wrong together.
        ks: cut-offs.

    Returns:
        `{"r1": [low, high], ...}` in 0..1.
    """
    rank = rank_of_correct(scores, correct)
    hits = rank[:, None] < torch.tensor(ks, device=rank.device)
    ends = bootstrap_interval(hits, unit)
    return {f"r{k}": [low, high] for k, low, high in zip(ks, *ends.tolist(), strict=True)}


def chance_at_one(correct: Tensor) -> float:
    """Recall at 1 of a random order: the mean share of correct candidates a query, (Q, C)."""
    return correct.to(torch.float64).mean(dim=1).mean().item()
