"""Image-text contrast: ALBEF's ITC with soft targets, and its focal form.

B queries of this rank, N candidates (momentum features of all ranks, then the queue), E width.
"""

import torch
from torch import Tensor


def similarity(features: Tensor, candidates: Tensor, temperature: Tensor) -> Tensor:
    """Cosine over temperature in float32, whatever the precision around it.

    Args:
        features: unit rows, (B, E).
        candidates: unit rows, (N, E).
        temperature: scalar, ().

    Returns:
        (B, N).
    """
    with torch.autocast(features.device.type, enabled=False):
        return _at_least_float(features) @ _at_least_float(candidates).T / temperature


def soft_targets(teacher: Tensor, positive: Tensor, alpha: float | Tensor) -> Tensor:
    """ALBEF's pseudo-targets: alpha of the teacher's belief, the rest on the known positives.

    Args:
        teacher: the momentum twins' similarity over temperature, (B, N).
        positive: True where the candidate belongs to the query, at least one a row, (B, N).
        alpha: share of the teacher; 0 is hard targets.

    Returns:
        Rows that sum to one, (B, N), without gradient.
    """
    belief = _at_least_float(teacher.detach()).softmax(dim=1)
    known = positive.to(belief.dtype)
    return alpha * belief + (1 - alpha) * known / known.sum(dim=1, keepdim=True)


def itc(sim_i2t: Tensor, sim_t2i: Tensor, target_i2t: Tensor, target_t2i: Tensor) -> Tensor:
    """ALBEF's contrast (section 3.4): soft cross-entropy, the mean of both directions.

    Args:
        sim_i2t: image-to-text similarity over temperature, (B, N).
        sim_t2i: text-to-image similarity over temperature, (B, N).
        target_i2t: rows that sum to one, (B, N).
        target_t2i: rows that sum to one, (B, N).

    Returns:
        ().
    """
    return focal_itc(sim_i2t, sim_t2i, target_i2t, target_t2i, gamma=0.0)


def focal_itc(
    sim_i2t: Tensor,
    sim_t2i: Tensor,
    target_i2t: Tensor,
    target_t2i: Tensor,
    *,
    gamma: float = 2.0,
    positive: Tensor | None = None,
    detach: bool = False,
) -> Tensor:
    """Contrast images with texts, dwelling on pairs that are not solved yet (SoftMask++).

    The paper says that a focal loss is used; the form is ours, after Lin et al. (ICCV 2017).

    Args:
        sim_i2t: image-to-text similarity over temperature, (B, N).
        sim_t2i: text-to-image similarity over temperature, (B, N).
        target_i2t: rows that sum to one, (B, N).
        target_t2i: rows that sum to one, (B, N).
        gamma: focusing power; 0 is plain ITC.
        positive: for one factor a query, (1 - p of its positives)^gamma, instead of one a
            candidate: True where the candidate belongs to the query, (B, N).
        detach: no gradient through the factor.

    Returns:
        Mean over both directions, ().
    """
    image = _focal_cross_entropy(sim_i2t, target_i2t, gamma, positive, detach)
    text = _focal_cross_entropy(sim_t2i, target_t2i, gamma, positive, detach)
    return (image + text) / 2


def _focal_cross_entropy(
    logits: Tensor, target: Tensor, gamma: float, positive: Tensor | None, detach: bool
) -> Tensor:
    log_p = _at_least_float(logits).log_softmax(dim=1)  # fp16 underflows here
    if gamma == 0:
        return -(target * log_p).sum(dim=1).mean()
    p = log_p.exp()
    solved = p if positive is None else (positive * p).sum(dim=1, keepdim=True)
    # Clamped: for gamma < 1 the slope at p = 1 is infinite.
    factor = (1 - solved).clamp_min(1e-6) ** gamma
    if detach:
        factor = factor.detach()
    return -(factor * target * log_p).sum(dim=1).mean()


def _at_least_float(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()
