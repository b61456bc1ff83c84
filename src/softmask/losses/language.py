"""Masked language modelling with momentum distillation (ALBEF, section 3.2; METHOD 1.5).

B pairs, L words, M words to predict of all pairs together, V word pieces.
"""

from torch import Tensor

from softmask.losses.classes import distilled_cross_entropy


def mlm(
    logits: Tensor,
    labels: Tensor,
    teacher: Tensor | None = None,
    alpha: float = 0.0,
    count: Tensor | None = None,
) -> Tensor:
    """Predict masked words, partly as the momentum twin would.

    Args:
        logits: (M, V).
        labels: original ids, IGNORE where there is nothing to predict, (M,).
        teacher: the momentum twin's logits, (M, V); needed when alpha is not 0.
        alpha: share of the teacher's soft labels; 0 is plain cross-entropy.
        count: what to divide by instead of this rank's number of labels; the mean over ranks of
            that number makes several ranks equal one.

    Returns:
        Mean over predicted positions, ().
    """
    return distilled_cross_entropy(logits, labels, teacher, alpha, count)


def pick_positions(states: Tensor, at: Tensor) -> Tensor:
    """States (B, L, D) at places (M,) of the flattened B L tokens, as (M, D)."""
    return states.flatten(0, 1).index_select(0, at)
