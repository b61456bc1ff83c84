"""Maps by hiding: how matching suffers when words cannot see a part of the image.

B pairs, L words, N = 1 + P image tokens, P = rows x columns patches, D width.
"""

import torch
from torch import Tensor

from softmask.nn import FusionEncoder, ImageKeys, Matcher, within_reach


@torch.no_grad()
def occlusion_maps(
    fusion: FusionEncoder,
    matcher: Matcher,
    states: Tensor,
    mask: Tensor,
    keys: ImageKeys,
    *,
    grid: tuple[int, int],
    around: int,
) -> Tensor:
    """How much the log odds of a match fall when no fusion layer sees a patch and those around it.

    Occlusion sensitivity (Zeiler and Fergus, 2014) on image tokens instead of pixels: an effect,
    not a gradient, at the price of P passes of the fusion encoder. It tells of places as far as
    tokens do, as those of a ViT with a short `reach`.

    Args:
        fusion: fuses.
        matcher: judges.
        states: of the texts alone, (B, L, D).
        mask: True on words, (B, L).
        keys: of the B images.
        grid: rows and columns of patches.
        around: rows and columns around the patch that are hidden with it.

    Returns:
        Falls, 0 where hiding helps, (B, rows, columns).
    """
    hidden = within_reach(grid, around)[1:, 1:].to(states.device)
    whole = _log_odds(fusion, matcher, states, mask, keys, None)
    falls = []
    for patches in hidden:
        seen = torch.cat([patches.new_ones(1), ~patches]).expand(len(states), -1)
        falls.append(whole - _log_odds(fusion, matcher, states, mask, keys, seen))
    return torch.stack(falls, dim=1).clamp_min(0).view(-1, *grid)


@torch.no_grad()
def attention_maps(fusion: FusionEncoder, states: Tensor, mask: Tensor, keys: ImageKeys) -> Tensor:
    """Where each word looks in the last fusion layer, the mean of its heads.

    Args:
        fusion: fuses.
        states: of the texts alone, (B, L, D).
        mask: True on words, (B, L).
        keys: of the B images.

    Returns:
        (B, L, N), a word's summing to 1.
    """
    last = len(keys.layers) - 1
    early = fusion(states, mask, keys, stop=last)
    _, attention = fusion.first_token_with_map(early, mask, keys, last)
    return attention.mean(dim=1)


def _log_odds(
    fusion: FusionEncoder,
    matcher: Matcher,
    states: Tensor,
    mask: Tensor,
    keys: ImageKeys,
    seen: Tensor | None,
) -> Tensor:
    logits: Tensor = matcher(fusion.first_token(states, mask, keys, image_mask=seen)).float()
    return logits[:, 1] - logits[:, 0]
