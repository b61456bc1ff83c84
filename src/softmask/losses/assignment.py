"""Text assignment: to which of two images does a text belong, if to any (ALBEF, section 5).

B images of this rank, each with its text, E embedding width.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from softmask.losses.contrastive import similarity
from softmask.losses.matching import draw_negatives

LEFT, RIGHT, NEITHER = 0, 1, 2
"""Classes: the text's own image is on the left, on the right, or not there."""


class Assigned(NamedTuple):
    """Which image each text is shown on either side."""

    left: Tensor  # (B,)
    right: Tensor  # (B,)


def distractors(
    features: Tensor, image_id: Tensor, temperature: float, noise: Tensor | None = None
) -> Tensor:
    """Draw two other images for each, likelier the more they resemble it (ALBEF, section 5).

    Args:
        features: unit rows, (B, E).
        image_id: equal for equal images, (B,); no image is a distractor of an equal one.
        temperature: of the resemblance.
        noise: Gumbel noise to use instead of a fresh draw, (B, B).

    Returns:
        Different places in the batch, (B, 2), where there are two others: not if `lonely`.
    """
    alike = similarity(features, features, features.new_tensor(temperature))
    same = image_id[:, None] == image_id
    return draw_negatives(alike, same, min(2, len(same)), noise)[:, [0, -1]]


def lonely(image_id: Tensor) -> Tensor:
    """True where fewer than two of the batch show another image, (B,)."""
    return (image_id[:, None] != image_id).sum(dim=1) < 2


def assign(kind: Tensor, others: Tensor) -> Assigned:
    """Lay out what each text is shown.

    Args:
        kind: LEFT, RIGHT or NEITHER, (B,).
        others: distractors, (B, 2).
    """
    own = torch.arange(len(kind), device=kind.device)
    left = torch.where(kind == LEFT, own, others[:, 0])
    right = torch.where(kind == NEITHER, others[:, 1], others[:, 0])
    return Assigned(left, torch.where(kind == RIGHT, own, right))
