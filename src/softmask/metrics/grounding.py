"""Where a map points: overlap of boxes, boxes ranked by a map, the pointing game.

Boxes are x, y, width and height in pixels, NaN where there is none; a map has the picture's size.
B pairs of boxes, K boxes of one picture, H x W pixels.
"""

import torch
from torch import Tensor

RIGHT = 0.5
"""A box is right from this overlap on."""
ONE_PIXEL = 1.0


def box_iou(one: Tensor, other: Tensor) -> Tensor:
    """Pixels in both boxes over pixels in either, as REFER and ALBEF count them.

    A box holds w x h pixels, its last one is x + w - 1. An overlap of no more than one row or
    column counts as none. A box that is not there overlaps nothing.

    Args:
        one: (..., 4).
        other: (..., 4), broadcast with `one`.

    Returns:
        (...), 0..1.
    """
    one, other = one.float(), other.float()
    start = torch.maximum(one[..., :2], other[..., :2])
    end = torch.minimum(one[..., :2] + one[..., 2:], other[..., :2] + other[..., 2:])
    sides = end - start
    shared = torch.where((sides > ONE_PIXEL).all(dim=-1), sides.prod(dim=-1), 0.0)
    both = one[..., 2:].prod(dim=-1) + other[..., 2:].prod(dim=-1) - shared
    return (shared / both).nan_to_num(0.0)


def box_scores(saliency: Tensor, boxes: Tensor, power: float = 0.5) -> Tensor:
    """How much of a map each box holds for its size: sum inside / area ^ power, as ALBEF's code.

    As in ALBEF, the pixels of a box go from int(y) to int(y + h) and int(x) to int(x + w), cut at
    the picture's edges; its area is w x h as given.

    Args:
        saliency: map, (H, W).
        boxes: (K, 4).
        power: 0 ranks by the sum, 1 by the mean; ALBEF's 0.5 lies between.

    Returns:
        (K,), -inf where there is no box.
    """
    # Sums of half a million pixels are subtracted from each other. Files write 9.8 + 78.2, which
    # float32 makes 87.9999992, a pixel less: four decimals are what it is sure of.
    boxes = boxes.to(torch.float64).round(decimals=4)
    height, width = saliency.shape
    integral = saliency.new_zeros((height + 1, width + 1), dtype=torch.float64)
    integral[1:, 1:] = saliency.to(torch.float64).cumsum(0).cumsum(1)
    corners = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1).nan_to_num(0.0).long()
    left, right = (corners[:, i].clamp(0, width) for i in (0, 2))
    top, bottom = (corners[:, i].clamp(0, height) for i in (1, 3))
    inside = integral[bottom, right] - integral[top, right]
    inside = inside - integral[bottom, left] + integral[top, left]
    scores = inside / boxes[:, 2:].prod(dim=1) ** power
    return scores.nan_to_num(float("-inf")).float()


def peak(saliency: Tensor) -> Tensor:
    """The centre of a map's largest pixel as x and y, the first one of several: (H, W) to (2,)."""
    row, column = divmod(int(saliency.argmax()), saliency.shape[1])
    return torch.tensor([column + 0.5, row + 0.5], device=saliency.device)


def points_into(point: Tensor, box: Tensor, tolerance: float = 0.0) -> Tensor:
    """The pointing game: is a point in its box, or no further from it than the tolerance?

    Args:
        point: x and y, (..., 2).
        box: (..., 4).
        tolerance: Euclidean distance in pixels; 15 in the game's first paper (Zhang et al., ECCV
            2016), made for pictures of some 500 pixels.

    Returns:
        (...) bool; never into a box that is not there.
    """
    low, high = box[..., :2], box[..., :2] + box[..., 2:]
    outside = torch.maximum(low - point, point - high).clamp_min(0)
    near: Tensor = outside.norm(dim=-1) <= tolerance
    return near


def energy_inside(saliency: Tensor, box: Tensor) -> Tensor:
    """Share of a map's positive part that lies in a box; of an empty map 0: (H, W), (4,) to ()."""
    positive = saliency.clamp_min(0)
    inside = box_scores(positive, box[None], power=0.0)[0]
    total = positive.sum(dtype=torch.float64).float()
    return torch.where(total > 0, inside / total, 0.0)


def cover_share(box: Tensor, size: Tensor) -> Tensor:
    """Share of a picture that its box covers: (..., 4), width and height (..., 2) to (...)."""
    return box[..., 2:].prod(dim=-1) / size.to(box.dtype).prod(dim=-1)
