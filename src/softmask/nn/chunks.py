"""Encoders that run a batch in chunks: contrast over a batch that does not fit at once.

R texts, B images, L text tokens, N image tokens.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from softmask.nn.attention import pick_positions
from softmask.nn.fusion import FusionEncoder, ImageKeys, SeveralKeys
from softmask.nn.image import ImageEncoder
from softmask.nn.text import TextEncoder

Pass = Callable[..., Tensor]


def chunk_encoders(module: nn.Module, rows: int) -> None:
    """Keep what encoders give alone, and compute a chunk at a time again in the backward pass.

    Losses then see the whole batch, as in GradCache (Gao et al. 2021), of which this is the same
    arithmetic under autograd; without dropout losses and gradients stay what they were. Memory is
    that of one chunk, and of tokens, states, keys and values of the whole batch. The map that soft
    masks are made of, and the words' scores, are still computed at once.

    Args:
        module: a task or a backbone.
        rows: images, texts, or pairs of both in a chunk, 1 at least.
    """
    for part in module.modules():
        if isinstance(part, ImageEncoder | TextEncoder):
            part.forward = partial(_encode, part.forward, rows)  # type: ignore[method-assign]
        elif isinstance(part, FusionEncoder):
            # First, for it calls `forward`, whose chunks are then as small already.
            part.first_token = partial(_fuse, part.first_token, rows)  # type: ignore[method-assign]
            part.forward = partial(_fuse, part.forward, rows)  # type: ignore[method-assign]


def _encode(encode: Pass, rows: int, *inputs: Tensor) -> Tensor:
    """Encode R texts or B images, tensors of equal first size."""
    if len(inputs[0]) <= rows:
        return encode(*inputs)
    parts = zip(*(torch.split(each, rows) for each in inputs), strict=True)
    return torch.cat([_again(encode, *part) for part in parts])


def _fuse(
    fuse: Pass,
    rows: int,
    states: Tensor,
    mask: Tensor,
    keys: ImageKeys | SeveralKeys,
    *layers: int | None,
    image_mask: Tensor | None = None,
    at: Tensor | None = None,
    **more: int | None,
) -> Tensor:
    """Fuse R texts with B images, those of an image in a run of R / B, as `FusionEncoder` does."""
    fuse = partial(fuse, **more)
    if at is not None and (isinstance(keys, SeveralKeys) or len(states) > rows):
        # Which places are in which chunk only the device knows.
        whole = _fuse(fuse, rows, states, mask, keys, *layers, image_mask=image_mask)
        return pick_positions(whole, at)
    if at is not None:
        return fuse(states, mask, keys, *layers, image_mask=image_mask, at=at)
    if isinstance(keys, SeveralKeys):
        assert image_mask is None
        each = (torch.split(part, list(keys.rows)) for part in (states, mask))
        sets = zip(*each, keys.sets, strict=True)
        return torch.cat([_fuse(fuse, rows, s, m, k, *layers) for s, m, k in sets])
    images = len(keys.layers[0])
    texts = len(states) // images
    step = max(1, rows // texts)
    if images <= step:
        return fuse(states, mask, keys, *layers, image_mask=image_mask)
    parts = []
    for first in range(0, images, step):
        seen = slice(first, first + step)
        told = slice(first * texts, (first + step) * texts)
        part = ImageKeys(tuple(kv[seen] for kv in keys.layers))
        kept = None if image_mask is None else image_mask[seen]
        parts.append(_again(fuse, states[told], mask[told], part, *layers, image_mask=kept))
    return torch.cat(parts)


def _again(run: Pass, *inputs: object, **more: object) -> Tensor:
    return checkpoint(partial(run, **more), *inputs, use_reentrant=False)
