"""What a model says of pairs."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from softmask.errors import InputError


class Judged(NamedTuple):
    """Pairs judged twice."""

    match: Tensor  # (pairs,) probability of the matching head
    cosine: Tensor  # (pairs,) of the features in the shared space


class Entailed(NamedTuple):
    """Sentences judged by what a picture tells."""

    labels: list[str]  # (pairs,) the likeliest of contradiction, neutral and entailment
    probability: Tensor  # (pairs, 3) of each, in that order


def join(parts: Iterable[Judged]) -> Judged:
    """One after the other, one part at least."""
    match, cosine = zip(*parts, strict=True)
    return Judged(torch.cat(match), torch.cat(cosine))


def as_many(texts: Sequence[str], images: int, what: str = "texts") -> list[str]:
    """The texts of so many images; one text is said of each.

    Args:
        texts: one at least.
        images: one at least; one is shown to all texts.
        what: the texts are, for the message.

    Raises:
        InputError: neither as many, nor one.
    """
    if len(texts) == 1:
        return [*texts] * images
    if images not in (1, len(texts)):
        raise InputError(
            f"{images} images are given with {len(texts)} {what}: give as many of each, or one of "
            f"either."
        )
    return [*texts]
