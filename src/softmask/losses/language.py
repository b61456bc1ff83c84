"""Masked language modelling with momentum distillation (ALBEF, section 3.2; METHOD 1.5).

B pairs, M positions to predict, V word pieces.
"""

import torch
from torch import Tensor

from softmask.batch import IGNORE


def mlm(
    logits: Tensor,
    labels: Tensor,
    teacher: Tensor | None = None,
    alpha: float = 0.0,
    count: Tensor | None = None,
) -> Tensor:
    """Predict masked words, partly as the momentum twin would.

    Args:
        logits: (B, M, V).
        labels: original ids, IGNORE where there is nothing to predict, (B, M).
        teacher: the momentum twin's logits, (B, M, V); needed when alpha is not 0.
        alpha: share of the teacher's soft labels; 0 is plain cross-entropy.
        count: what to divide by instead of this rank's number of labels; the mean over ranks of
            that number makes several ranks equal one.

    Returns:
        Mean over predicted positions, ().
    """
    keep = labels != IGNORE
    log_p = logits.log_softmax(dim=-1)
    loss = -log_p.gather(-1, labels.clamp_min(0).unsqueeze(-1)).squeeze(-1)
    if alpha and teacher is not None:
        soft = -(teacher.detach().softmax(dim=-1) * log_p).sum(dim=-1)
        loss = (1 - alpha) * loss + alpha * soft
    total = keep.sum() if count is None else count
    return torch.where(keep, loss, 0.0).sum() / total.clamp_min(1)


def pick_positions(states: Tensor, at: Tensor) -> Tensor:
    """States (B, L, D) at positions (B, M), as (B, M, D)."""
    return states.gather(1, at.unsqueeze(-1).expand(-1, -1, states.shape[-1]))


def masked_positions(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Labels of a whole text (B, L), IGNORE elsewhere, as positions and labels, both (B, M).

    M is the largest number of labels of a row, at least 1; shorter rows end in position 0 with
    IGNORE. Reads sizes from the data: for the host, not for the step.
    """
    keep = labels != IGNORE
    most = max(int(keep.sum(dim=1).max()), 1)
    order = keep.int().argsort(dim=1, descending=True, stable=True)[:, :most]
    picked = labels.gather(1, order)
    return order.masked_fill(picked == IGNORE, 0), picked
