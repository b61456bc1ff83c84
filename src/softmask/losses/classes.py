"""Cross-entropy with momentum distillation (ALBEF, section 3.4).

R rows, K classes.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from softmask.batch import IGNORE


def distilled_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    teacher: Tensor | None = None,
    alpha: float | Tensor = 0.0,
    count: Tensor | None = None,
) -> Tensor:
    """(1 - alpha) cross-entropy with the labels + alpha with the momentum twin's beliefs.

    Args:
        logits: (R, K).
        labels: classes, IGNORE where there is nothing to predict, (R,).
        teacher: the momentum twin's logits, (R, K); None for alpha 0.
        alpha: share of the teacher's soft labels; 0 is plain cross-entropy.
        count: what to divide by instead of this rank's number of labels; the mean over ranks of
            that number makes several ranks equal one.

    Returns:
        Mean over rows with a label, ().
    """
    total = (labels != IGNORE).sum() if count is None else count
    return distilled_rows(logits, labels, teacher, alpha).sum() / total.clamp_min(1)


def distilled_rows(
    logits: Tensor, labels: Tensor, teacher: Tensor | None = None, alpha: float | Tensor = 0.0
) -> Tensor:
    """`distilled_cross_entropy` of each row apart.

    Args:
        logits: (..., K).
        labels: classes, IGNORE where there is nothing to predict, (...).
        teacher: the momentum twin's logits, (..., K); None for alpha 0.
        alpha: share of the teacher's soft labels.

    Returns:
        (...), 0 where there is nothing to predict.
    """
    log_p = logits.log_softmax(dim=-1)
    loss = -log_p.gather(-1, labels.clamp_min(0).unsqueeze(-1)).squeeze(-1)
    if teacher is not None:
        soft = -(teacher.detach().softmax(dim=-1) * log_p).sum(dim=-1)
        loss = (1 - alpha) * loss + alpha * soft
    return torch.where(labels != IGNORE, loss, 0.0)


def distilled_answers(
    logits: Tensor, targets: Tensor, teacher: Tensor | None = None, alpha: float | Tensor = 0.0
) -> Tensor:
    """Binary cross-entropy of each class apart, with soft targets mixed with the twins' beliefs.

    Args:
        logits: (R, K).
        targets: 0 to 1, (R, K).
        teacher: the momentum twin's logits, (R, K); None for alpha 0.
        alpha: share of the teacher's beliefs.

    Returns:
        Summed over classes, mean over rows, ().
    """
    if teacher is not None:
        targets = (1 - alpha) * targets + alpha * teacher.detach().sigmoid()
    loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return loss.sum(dim=1).mean()
