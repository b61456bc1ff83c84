"""Where words look in composed scenes, whose boxes are exact: pointing, energy, coverage, spread.

The maps are those of soft masks: Grad-CAM of the matching logit in the layer of the run's settings.
B pairs, L words, N = 1 + P image tokens.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from softmask.captions import Word
from softmask.grounding import enlarge
from softmask.metrics import cover_share, energy_inside, peak, points_into
from softmask.saliency import EMPTY, normalise_map

HALF = 0.5
"""From this value on a map between 0 and 1 covers a place."""


class Named(NamedTuple):
    """A thing of a scene that its caption names."""

    words: tuple[int, int]  # tokens, from and to before
    boxes: Tensor  # (K, 4), x, y, width, height: of all things of that name


def named_things(words: Sequence[Word], objects: Sequence[Mapping[str, object]]) -> list[Named]:
    """Find where a caption names the things of its scene; the first place counts.

    Args:
        words: of the caption, with their tokens.
        objects: of the scene's notes: `name`, and `box` as x, y, width, height.
    """
    said = [word.text.lower() for word in words]
    found = []
    for name in dict.fromkeys(str(each["name"]) for each in objects):
        parts = name.split()
        starts = [at for at in range(len(said)) if said[at : at + len(parts)] == parts]
        if starts:
            first, last = words[starts[0]], words[starts[0] + len(parts) - 1]
            boxes = torch.tensor([each["box"] for each in objects if each["name"] == name])
            found.append(Named((first.start, last.stop), boxes.float()))
    return found


def spread(patches: Tensor) -> dict[str, float]:
    """How wide a map is, whatever it shows.

    Args:
        patches: of a word before normalisation, not negative, (P,).

    Returns:
        `entropy` of the map as a distribution over that of an even one, 0..1; `mean` of the map
        brought to 0..1, which is the share of the picture that its soft mask takes; whether it is
        `empty`, and then the others are not there.
    """
    if patches.amax() < EMPTY:
        return {"empty": 1.0}
    share = patches / patches.sum()
    entropy = float(torch.special.entr(share).sum()) / math.log(len(share))
    return {"empty": 0.0, "entropy": entropy, "mean": float(normalise_map(patches).mean())}


def judge_map(patches: Tensor, boxes: Tensor, size: Tensor) -> dict[str, float]:
    """What a map says of the things it is of, beside what maps of no use would say.

    Args:
        patches: before normalisation, (rows, columns).
        boxes: of the things, which do not overlap, (K, 4).
        size: width and height of the picture, (2,).

    Returns:
        `pointing` (the largest value lies in a box), `energy` (share of the map inside), `coverage`
        (share of the boxes where the map has half its height), `precision` (share of such places
        that lies inside), and for comparison `box_share` and `centre`, the pointing of the middle.
    """
    saliency = enlarge(patches, size)
    flat = bool(saliency.amax() <= saliency.amin())  # it points nowhere
    high = (normalise_map(saliency.flatten()).view_as(saliency) >= HALF).float()
    inside = torch.zeros_like(high)
    for left, top, wide, tall in boxes.long().tolist():
        inside[top : top + tall, left : left + wide] = 1
    both = float((high * inside).sum())
    point = peak(saliency)
    return {
        "pointing": float(points_into(point, boxes).any()) * (not flat),
        "energy": float(sum(energy_inside(saliency, box) for box in boxes)),
        "coverage": both / max(float(inside.sum()), 1.0),
        "precision": both / max(float(high.sum()), 1.0),
        "box_share": float(cover_share(boxes, size).sum()),
        "centre": float(points_into(size / 2, boxes).any()),
    }


def means(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means by name over those that have it, and their count."""
    names = dict.fromkeys(name for each in found for name in each)
    values = {name: [each[name] for each in found if name in each] for name in names}
    return {"count": len(found), **{name: sum(v) / len(v) for name, v in values.items()}}
