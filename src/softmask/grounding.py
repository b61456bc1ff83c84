"""Grounding: where the words of an expression look, and whether that is what it means.

B samples, L words, N = 1 + P image tokens, P = rows x columns patches, K boxes, H x W pixels.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from softmask.batch import GroundingBatch
from softmask.metrics import (
    RIGHT,
    bootstrap_interval,
    box_iou,
    box_scores,
    cover_share,
    energy_inside,
    peak,
    points_into,
)
from softmask.saliency import normalise_map


class Pointing(Protocol):
    """How maps are judged; `tasks.Pointing` is one."""

    @property
    def tolerance(self) -> float:
        """Pixels by which the point may miss the box."""

    @property
    def power(self) -> float:
        """Power of a box's area that its sum is divided by."""


def expression_maps(cam: Tensor, mapped: Tensor, grid: tuple[int, int]) -> Tensor:
    """Mean map of the words that count; ALBEF counts all tokens, [CLS] included.

    Args:
        cam: of each word, (B, L, N).
        mapped: words that count, (B, L).
        grid: rows and columns.

    Returns:
        (B, rows, columns).
    """
    total = (cam * mapped.unsqueeze(-1)).sum(dim=1)[:, 1:]
    return (total / mapped.sum(dim=1, keepdim=True)).view(-1, *grid)


def up_to_last(mapped: Tensor) -> Tensor:
    """Where a text is read that ends with its last mapped word: (B, L) to (B, L)."""
    return mapped.flip(1).cumsum(dim=1).flip(1) > 0


def sum_of_scaled(*maps: Tensor) -> Tensor:
    """Maps of several kinds as one: the sum of each brought to 0..1, all (B, rows, columns)."""
    scaled = [normalise_map(each.flatten(1)).view_as(each) for each in maps]
    return torch.stack(scaled).sum(dim=0)


def enlarge(patches: Tensor, size: Tensor) -> Tensor:
    """A map as large as its picture, bicubic as in ALBEF: (rows, columns) to (H, W).

    Args:
        patches: (rows, columns).
        size: W and H, (2,).
    """
    width, height = size.tolist()
    large = F.interpolate(patches[None, None].float(), (height, width), mode="bicubic")
    return large[0, 0]


def best_box(saliency: Tensor, boxes: Tensor, power: float = 0.5) -> Tensor:
    """The box that a map (H, W) fits best of (K, 4), the first of several; NaN if there is none."""
    if not len(boxes):
        return boxes.new_full((4,), float("nan"))
    return boxes[box_scores(saliency, boxes, power).argmax()]


def judge(
    saliency: Tensor, batch: GroundingBatch, row: int, pointing: Pointing
) -> dict[str, Tensor]:
    """What a map says of a sample, beside what maps of no use would say.

    Args:
        saliency: (H, W).
        batch: the samples.
        row: of the sample.
        pointing: tolerance and power.

    Returns:
        Scalars by name; `grounding_report` reads them.
    """
    box, size, boxes = batch["box"][row], batch["size"][row], batch["detections"][row]
    right = box_iou(boxes, box) >= RIGHT
    there = boxes.isfinite().all(dim=1)
    empty = saliency.amax() <= saliency.amin()  # it points nowhere
    point = peak(saliency)
    return {
        "pointing": (points_into(point, box, pointing.tolerance) & ~empty).float(),
        "energy": energy_inside(saliency, box),
        "box_share": cover_share(box, size),
        "centre": points_into(size / 2, box, pointing.tolerance).float(),
        "iou_accuracy": (box_iou(best_box(saliency, boxes, pointing.power), box) >= RIGHT).float(),
        "random_box": right.sum() / there.sum().clamp_min(1),
        "detections": there.sum().float(),
    }


def grounding_report(columns: Mapping[str, Tensor], splits: Sequence[str]) -> dict[str, Any]:
    """Shares of all samples, and of each part of the data where they name several.

    Boxes count where any sample has some to choose from; one without is then a miss, as in the
    official evaluation. Intervals are 95 % bootstrap ones over pictures.

    Args:
        columns: those of `judge`, and `image_id`; a row a sample.
        splits: the part of the data that each is of, "" where it names none.
    """
    chosen = bool(columns["detections"].any())
    report = _shares(columns, chosen)
    if len(set(splits)) > 1:  # one part alone is all
        report["splits"] = {
            name: _shares(_rows(columns, [s == name for s in splits]), chosen)
            for name in sorted({*splits} - {""})
        }
    return report


def _rows(columns: Mapping[str, Tensor], keep: list[bool]) -> dict[str, Tensor]:
    return {name: rows[torch.tensor(keep, device=rows.device)] for name, rows in columns.items()}


def _shares(columns: Mapping[str, Tensor], chosen: bool) -> dict[str, Any]:
    names = ["pointing", "energy", "box_share", "centre"]
    names += ["iou_accuracy", "random_box"] if chosen else []
    found = torch.stack([columns[name] for name in names], dim=1)
    unit = torch.unique(columns["image_id"], return_inverse=True)[1]
    ends = bootstrap_interval(found, unit).T.tolist()
    measured = ("pointing", "energy", "iou_accuracy")
    return {
        "count": len(found),
        **dict(zip(names, found.double().mean(dim=0).tolist(), strict=True)),
        "interval": {n: end for n, end in zip(names, ends, strict=True) if n in measured},
    }
