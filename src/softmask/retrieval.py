"""Retrieval: contrastive scores, then the matching head on a shortlist (ALBEF, section 5).

I images, T texts, N image tokens, L words, D width, G images judged together.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from softmask.backbone import Backbone
from softmask.gallery import Gathered
from softmask.nn import Matcher

Score = Callable[[Tensor], Tensor]
"""Fused first tokens (R, D) to a score each, (R,)."""
MOST_IMAGES = 32
"""Images judged together: the keys of one at base size and 384 pixels are 21 MB."""


class Rerank(Protocol):
    """How the matching head judges again; `tasks.Evaluation` is one."""

    @property
    def k_test(self) -> int:
        """Candidates a query."""

    @property
    def similarity(self) -> float:
        """Share of the cosine in the score."""

    @property
    def chunk(self) -> int:
        """Most text rows fused at once."""


def contrastive_scores(gathered: Gathered) -> Tensor:
    """Cosine of every image with every text, (I, T)."""
    return gathered.image.float() @ gathered.text.float().T


def shortlist(scores: Tensor, k: int) -> Tensor:
    """True for the k best candidates of each query, (Q, C) to (Q, C)."""
    top = scores.topk(min(k, scores.shape[1]), dim=1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, top, True)


def match_scores(
    backbone: Backbone,
    matcher: Matcher,
    gathered: Gathered,
    itc: Tensor,
    rerank: Rerank,
    sum_over_ranks: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Judge every pair of either shortlist once, each by the rank that holds its image.

    COCO's 5,000 images and 25,010 texts at k_test 256 are at most 7.7 million pairs, one pass
    through the fusion layers each; pairs on both shortlists count once.

    Args:
        backbone: fuses.
        matcher: judges; the logit of class 1 is the score, as in ALBEF.
        gathered: encodings.
        itc: contrastive scores, (I, T).
        rerank: shortlist length, share of the cosine, chunk.
        sum_over_ranks: adds up a tensor over ranks.

    Returns:
        Image-to-text scores (I, T) and text-to-image scores (T, I); outside the shortlist of a
        query its contrastive order goes on, below all judged ones.
    """
    i2t, t2i = shortlist(itc, rerank.k_test), shortlist(itc.T, rerank.k_test)
    logits = judge(
        backbone,
        lambda first: matcher(first)[:, 1],
        gathered.tokens,
        gathered.states,
        gathered.mask,
        i2t | t2i.T,
        chunk=rerank.chunk,
    )
    scores = sum_over_ranks(logits) + rerank.similarity * itc
    return below_judged(scores, i2t, itc), below_judged(scores.T, t2i, itc.T)


def below_judged(scores: Tensor, judged: Tensor, itc: Tensor) -> Tensor:
    """Scores where a candidate was judged, else its contrastive order below them; all (Q, C)."""
    # Cosines keep their differences; far below they would round.
    return torch.where(judged, scores, scores.amin() - 2 + itc)


def judge(
    backbone: Backbone,
    score: Score,
    tokens: Mapping[int, Tensor],
    states: Tensor,
    mask: Tensor,
    wanted: Tensor,
    *,
    chunk: int,
) -> Tensor:
    """Fuse the wanted pairs and score them; an image's keys are projected once.

    Args:
        backbone: fuses.
        score: judges what was fused.
        tokens: of the images that are to be judged here, by index, each (N, D), anywhere.
        states: of the texts, (T, L, D).
        mask: True on words, (T, L).
        wanted: True on pairs to judge, (I, T).
        chunk: most text rows fused at once.

    Returns:
        (I, T) float32, 0 where nothing was judged.
    """
    scores = torch.zeros(wanted.shape, device=states.device)
    counts = wanted.sum(dim=1).tolist()
    for group in alike({i: counts[i] for i in tokens if counts[i]}, chunk):
        found = [wanted[i].nonzero().squeeze(1) for i in group]
        rows = pad_sequence(found, batch_first=True, padding_value=-1)  # (G, texts of the longest)
        keys = backbone.project(torch.stack([tokens[i] for i in group]).to(states))
        images = torch.tensor(group, device=states.device)[:, None]
        for part in torch.split(rows, max(1, chunk // len(group)), dim=1):
            texts = part.flatten().clamp_min(0)
            first = backbone.match_state(states[texts], mask[texts], keys)
            said, real = score(first).view_as(part), part >= 0
            scores[images.expand_as(part)[real], part[real]] = said[real]
    return scores


def alike(counts: Mapping[int, int], chunk: int) -> Iterator[Sequence[int]]:
    """Group images with like numbers of texts, so that few rows of a group only fill it up.

    Args:
        counts: texts of each image by its index, 1 or more.
        chunk: most rows of a group; an image with more stands alone.
    """
    group: list[int] = []
    for index in sorted(counts, key=lambda i: -counts[i]):
        full = len(group) == MOST_IMAGES
        if group and (full or (len(group) + 1) * counts[group[0]] > chunk):
            yield group
            group = []
        group.append(index)
    if group:
        yield group
