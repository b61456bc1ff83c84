"""Words predicted with momentum distillation: masked ones, and the next one of a text.

B pairs, L words, M words to predict of all pairs together, A answers of T tokens, V word pieces.
(ALBEF, sections 3.2, 3.4 and 4.2.)
"""

from torch import Tensor

from softmask.losses.classes import distilled_cross_entropy, distilled_rows


def mlm(
    logits: Tensor,
    labels: Tensor,
    teacher: Tensor | None = None,
    alpha: float | Tensor = 0.0,
    count: Tensor | None = None,
) -> Tensor:
    """Predict masked words, partly as the momentum twin would.

    Args:
        logits: (M, V).
        labels: original ids, IGNORE where there is nothing to predict, (M,).
        teacher: the momentum twin's logits, (M, V); None for alpha 0.
        alpha: share of the teacher's soft labels; 0 is plain cross-entropy.
        count: what to divide by instead of this rank's number of labels; the mean over ranks of
            that number makes several ranks equal one.

    Returns:
        Mean over predicted positions, ().
    """
    return distilled_cross_entropy(logits, labels, teacher, alpha, count)


def next_words(
    logits: Tensor,
    labels: Tensor,
    weight: Tensor,
    count: int,
    teacher: Tensor | None = None,
    alpha: float | Tensor = 0.0,
) -> Tensor:
    """Predict each next token of texts: an answer's tokens are summed, not averaged.

    Args:
        logits: of the token after each, (A, T, V).
        labels: that token, IGNORE where there is none, (A, T).
        weight: of each text, (A,).
        count: what to divide by: questions for VQA, texts for captions.
        teacher: the momentum twins' logits, (A, T, V); None for alpha 0.
        alpha: share of the teacher's soft labels. They are over the vocabulary: ALBEF's first code
            normalised over the tokens of a text, by mistake.

    Returns:
        ().
    """
    return (distilled_rows(logits, labels, teacher, alpha).sum(dim=1) * weight).sum() / count
