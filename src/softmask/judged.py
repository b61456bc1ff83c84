"""What a model says of pairs."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor


class Judged(NamedTuple):
    """Pairs judged twice."""

    match: Tensor  # (pairs,) probability of the matching head
    cosine: Tensor  # (pairs,) of the features in the shared space


def join(parts: Iterable[Judged]) -> Judged:
    """One after the other, one part at least."""
    match, cosine = zip(*parts, strict=True)
    return Judged(torch.cat(match), torch.cat(cosine))
