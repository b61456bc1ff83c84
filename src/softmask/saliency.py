"""Text-driven soft masks: where a word looks, as a factor on image features (SoftMask++, 4.1).

B pairs, H heads, L words, N = 1 + P image tokens, S chosen words a pair.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

SCORE_SCALE = 1024.0
"""The score is scaled for its backward pass, whose fp16 values would vanish, and back after it."""

EMPTY = 1e-6
"""A map whose largest value is below this holds noise rather than a place."""


class WordMaps(NamedTuple):
    """Grad-CAM of a matching score with respect to one cross-attention map."""

    attention: Tensor  # (B, H, L, N), the map
    gradient: Tensor  # (B, H, L, N), of the summed score
    cam: Tensor  # (B, L, N), mean over heads of map * relu(gradient)


def word_maps(tail: Callable[[], tuple[Tensor, Tensor]]) -> WordMaps:
    """Where each word looks when the pair is judged (Grad-CAM as ALBEF computes it).

    Only the given map is differentiated: no parameter gets a gradient, whatever surrounds this.

    Args:
        tail: computes the matching logit of each pair, (B,), and the map, (B, H, L, N), from
            detached states; called under `enable_grad`.

    Returns:
        Detached float32 maps.
    """
    with torch.inference_mode(False), torch.enable_grad():
        score, attention = tail()
        (scaled,) = torch.autograd.grad(score.sum() * SCORE_SCALE, attention)
    gradient = scaled.float() / SCORE_SCALE
    attention = attention.detach().float()
    return WordMaps(attention, gradient, grad_cam(attention, gradient))


def grad_cam(attention: Tensor, gradient: Tensor) -> Tensor:
    """Mean over heads of map times positive gradient: (B, H, L, N) twice to (B, L, N)."""
    return (attention * gradient.clamp_min(0)).mean(dim=1)


def choose_words(cam: Tensor, words: Tensor) -> Tensor:
    """The patch maps of chosen words: (B, L, N) at (B, S) to (B, S, P), class token dropped."""
    rows = cam.gather(1, words.unsqueeze(-1).expand(-1, -1, cam.shape[-1]))
    return rows[..., 1:]


def merge_pieces(cam: Tensor, pieces: Tensor) -> Tensor:
    """The patch maps of words of several tokens, each the mean of its tokens' maps.

    Args:
        cam: (B, L, N).
        pieces: True on the tokens of each word, one at least, (B, S, L).

    Returns:
        (B, S, P), class token dropped.
    """
    share = pieces.to(cam.dtype)
    merged = torch.bmm(share / share.sum(dim=-1, keepdim=True), cam)
    return merged[..., 1:]


def normalise_map(patches: Tensor, by_max: bool = False) -> Tensor:
    """Bring each map to [0, 1], whatever the scale of its score; an all-equal map to 0.

    Args:
        patches: non-negative maps, (..., P).
        by_max: divide by the largest value instead of min-max; an all-equal map then gives 1.

    Returns:
        (..., P).
    """
    low = torch.zeros_like(patches[..., :1]) if by_max else patches.amin(dim=-1, keepdim=True)
    span = patches.amax(dim=-1, keepdim=True) - low
    # Where, not an epsilon: a small map is a map, an empty one stays zero instead of NaN.
    return torch.where(span > 0, (patches - low) / span.where(span > 0, 1.0), 0.0)


def soft_mask(maps: Tensor) -> Tensor:
    """Factors on image tokens that fade what the word saw: (..., P) to (..., 1 + P).

    The class token keeps its factor of 1.
    """
    keep = 1 - maps
    return torch.cat([torch.ones_like(keep[..., :1]), keep], dim=-1)


def empty_share(patches: Tensor) -> Tensor:
    """Share of maps (..., P), before normalisation, that hold next to nothing, as a scalar."""
    return (patches.amax(dim=-1) < EMPTY).float().mean()
