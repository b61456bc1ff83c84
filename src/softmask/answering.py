"""What a model answers to questions about pictures."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from softmask.ranking import Ranked


class Answered(NamedTuple):
    """The likeliest answers to each question, the best first."""

    answers: list[list[str]]  # (questions, top)
    probability: Tensor  # (questions, top)

    @property
    def best(self) -> list[str]:
        """The likeliest answer to each question."""
        return [row[0] for row in self.answers]


def answered(parts: Iterable[Ranked], listed: Sequence[str], top: int) -> Answered:
    """Name the answers of ranked places.

    Args:
        parts: of one batch after the other, one at least.
        listed: the answers that places stand for.
        top: answers to name of each question, if there are so many.
    """
    place, probability = (torch.cat(column)[:, :top] for column in zip(*parts, strict=True))
    return Answered([[listed[at] for at in row] for row in place.tolist()], probability)
