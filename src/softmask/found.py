"""Which queries of a retrieval evaluation to look at, and what was found for them.

I images, T texts, Q queries, C candidates.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from softmask.gallery import Gathered
from softmask.metrics import rank_of_correct

FIRST = 5
"""Answers that are shown of a query."""


class Listed(NamedTuple):
    """A query with its first answers, by index."""

    query: int
    answers: tuple[int, ...]
    scores: tuple[float, ...]
    right: tuple[bool, ...]
    rank: int  # of the first right answer, from 1


class Found(NamedTuple):
    """Examples of both directions, and where their images and texts are in the data set."""

    t2i: list[Listed]
    i2t: list[Listed]
    image: Tensor  # (I,) place of each image
    text: Tensor  # (T, 2) place of each text's image, and which of its captions it is


def found(gathered: Gathered, i2t: Tensor, t2i: Tensor, correct: Tensor, count: int = 3) -> Found:
    """Choose examples.

    Args:
        gathered: encodings of all ranks.
        i2t: scores, (I, T).
        t2i: scores, (T, I).
        correct: what answers what, (I, T).
        count: hits, and as many misses, of each direction.
    """
    return Found(
        examples(t2i, correct.T, count),
        examples(i2t, correct, count),
        gathered.image_place,
        gathered.text_place,
    )


def examples(scores: Tensor, correct: Tensor, count: int) -> list[Listed]:
    """The first hits, then the misses whose right answer stands lowest.

    Args:
        scores: (Q, C).
        correct: (Q, C) bool.
        count: of hits, and of misses; fewer where there are fewer.
    """
    rank = rank_of_correct(scores, correct)
    hits = (rank == 0).nonzero().squeeze(1)[:count]
    worst = rank.argsort(descending=True, stable=True)[:count]
    chosen = torch.cat([hits, worst[rank[worst] > 0]])
    top = scores[chosen].topk(min(FIRST, scores.shape[1]), dim=1)
    right = correct[chosen].gather(1, top.indices)
    columns = (chosen, top.indices, top.values, right, rank[chosen] + 1)
    return [
        Listed(query, tuple(answers), tuple(values), tuple(true), place)
        for query, answers, values, true, place in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]
