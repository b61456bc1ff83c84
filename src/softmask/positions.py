"""Positions of another resolution or another length, fitted while weights are loaded.

G x G patches, D width, L text positions.
"""

from collections.abc import Mapping
from math import isqrt

import torch
from torch import Tensor
from torch.nn import functional as F

IMAGE_POSITIONS = "backbone.image.vit.pos_embed"
TEXT_POSITIONS = "backbone.text.bert.embeddings.position_embeddings.weight"


def resample_positions(positions: Tensor, side: int) -> Tensor:
    """Bring a ViT's positions to another grid as ALBEF does: bicubic, corners not aligned.

    Args:
        positions: the class token's, which stays, then those of a square grid, (1, 1 + G G, D).
        side: of the new grid; the same one gives the same positions, bit for bit.

    Returns:
        (1, 1 + side side, D), of the same type.
    """
    first, patches = positions[:, :1], positions[:, 1:]
    grid = isqrt(patches.shape[1])
    assert grid * grid == patches.shape[1], f"{patches.shape[1]} patches are no square"
    if grid == side:
        return positions
    square = torch.unflatten(patches.float(), 1, (grid, grid)).permute(0, 3, 1, 2)
    resized = F.interpolate(square, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([first, resized.flatten(2).transpose(1, 2).to(first.dtype)], dim=1)


def fit_positions(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Positions of `state` in the shapes that `own` has, twins included; nothing else.

    A ViT's are resampled. A text encoder's are cut at its own length; of a longer one the rows
    that `state` lacks stay as they are.

    Args:
        own: of the module to be filled.
        state: the weights to load.

    Returns:
        Those that had to change, and could.
    """
    fitted = {}
    for name, theirs in state.items():
        if name not in own or own[name].shape == theirs.shape:
            continue
        if name.endswith(IMAGE_POSITIONS) and _are_grids(theirs, own[name]):
            fitted[name] = resample_positions(theirs, isqrt(own[name].shape[1] - 1))
        elif name.endswith(TEXT_POSITIONS) and theirs.shape[1:] == own[name].shape[1:]:
            length = len(own[name])
            fitted[name] = torch.cat([theirs[:length], own[name][len(theirs) :].to(theirs)])
    return fitted


def _are_grids(*positions: Tensor) -> bool:
    shapes = [p.shape for p in positions]
    square = all(len(s) == 3 and s[1] > 1 and isqrt(s[1] - 1) ** 2 == s[1] - 1 for s in shapes)
    return square and shapes[0][::2] == shapes[1][::2]
