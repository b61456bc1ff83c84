"""Image-text matching and the draw of its hard negatives (ALBEF, section 3.2).

B pairs of this rank, R rows of pairs.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def hard_negatives(logits: Tensor, same: Tensor, noise: Tensor | None = None) -> Tensor:
    """Draw one negative a row with probability softmax(logits), never one of the same item.

    A Gumbel draw: one argmax for all rows, without host synchronisation and without the
    all-zero rows on which `multinomial` stops.

    Args:
        logits: similarity of queries to this rank's candidates over temperature, (B, B).
        same: True where the candidate is the query's own image or caption, (B, B).
        noise: Gumbel noise to use instead of a fresh draw, (B, B).

    Returns:
        Index of a candidate a row, (B,).
    """
    return draw_negatives(logits, same, 1, noise)[:, 0]


def draw_negatives(logits: Tensor, same: Tensor, count: int, noise: Tensor | None = None) -> Tensor:
    """`hard_negatives` for several different ones a row, drawn without replacement.

    Returns:
        Indices of candidates, (B, count).
    """
    scores = logits.detach().float().masked_fill(same, float("-inf"))
    if noise is None:
        noise = -torch.empty_like(scores).exponential_().log()
    return (scores + noise).topk(count, dim=1).indices


def without_negative(image_id: Tensor, text_id: Tensor) -> Tensor:
    """Rows whose image or caption stands in every pair of the batch, so nothing can oppose them.

    Args:
        image_id: (B,).
        text_id: (B,).

    Returns:
        True on such rows, (B,).
    """
    return same_item(image_id, text_id, image_id, text_id).all(dim=1)


def same_item(image_a: Tensor, text_a: Tensor, image_b: Tensor, text_b: Tensor) -> Tensor:
    """True where pairs a and b share their image or their caption; ids (A,) and (B,) to (A, B)."""
    return (image_a[:, None] == image_b) | (text_a[:, None] == text_b)


def itm(logits: Tensor, match: Tensor) -> Tensor:
    """Cross-entropy of the matching head (ALBEF, section 3.2).

    Args:
        logits: (R, 2); class 1 says that the pair matches.
        match: 1 on matching rows, else 0, (R,).

    Returns:
        Mean over rows, ().
    """
    return F.cross_entropy(logits, match)


def match_labels(logits: Tensor, kinds: int) -> Tensor:
    """1 for the first of `kinds` equal parts of the rows, the matched pairs, 0 for the others."""
    return (torch.arange(len(logits), device=logits.device) < len(logits) // kinds).long()


def match_accuracy(logits: Tensor, match: Tensor) -> Tensor:
    """Share of rows (R, 2) whose likelier class is `match`, (R,), as a scalar without gradient."""
    return (logits.detach().argmax(dim=1) == match).float().mean()
