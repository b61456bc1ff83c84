"""Does matching read the mask, not the picture (docs/method.md)? Pairs and negatives under masks.

If pairs alone are ever masked in training, "something is faded" comes to mean "it matches": then
negatives under a mask are taken for pairs, and so they are under a mask that has lost its places
and keeps its strength alone. B pairs, P patches.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from softmask.saliency import soft_mask

Match = Callable[[Tensor, Tensor], Tensor]
"""Texts' places (B,) and factors on image tokens (B, 1 + P) to match probabilities (B,)."""


def conditions(maps: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Factors on image tokens, (B, 1 + P), from maps in 0..1, (B, P).

    Returns:
        `plain` fades nothing; `masked` what the word saw; `shuffled` as much, at places drawn by
        lot; `level` all places alike, by the map's mean: its norm alone is left.
    """
    drawn = torch.rand(maps.shape, generator=torch.Generator().manual_seed(seed)).argsort(dim=1)
    level = maps.mean(dim=1, keepdim=True).expand_as(maps)
    shuffled = maps.gather(1, drawn.to(maps.device))
    faded = {"plain": torch.zeros_like(maps), "masked": maps, "shuffled": shuffled, "level": level}
    return {name: soft_mask(each) for name, each in faded.items()}


def ask(match: Match, maps: Tensor, texts: dict[str, Tensor]) -> dict[str, Tensor]:
    """Match probabilities of a batch in each condition.

    Args:
        match: judges this batch's images.
        maps: of a word of each pair, in 0..1, (B, P).
        texts: places of texts by kind: `pairs` and kinds of negatives, each (B,).

    Returns:
        (B,) by `condition/kind`.
    """
    return {
        f"{condition}/{kind}": match(places, keep)
        for condition, keep in conditions(maps).items()
        for kind, places in texts.items()
    }


def shortcut_report(asked: dict[str, Tensor]) -> dict[str, float]:
    """Accuracy and mean probability by `condition/kind`; only `pairs` match in truth."""
    report = {}
    for name, probability in asked.items():
        said = probability > 1 / 2
        right = said if name.endswith("/pairs") else ~said
        report[f"{name}/accuracy"] = float(right.double().mean())
        report[f"{name}/match"] = float(probability.double().mean())
    return report
