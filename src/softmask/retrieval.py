"""Retrieval: contrastive scores, then the matching head on a shortlist (ALBEF, section 5).

I images, T texts, N image tokens, L words, D width, E embedding width, W ranks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from softmask.backbone import Backbone
from softmask.batch import PairBatch
from softmask.nn import Matcher
from softmask.rows import first_of_each


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


@dataclass
class Gathered:
    """Everything of all ranks but image tokens, which stay where they were made.

    Images and texts are in the order of their place in the data set, the same on every rank.
    """

    image: Tensor  # (I, E)
    image_id: Tensor  # (I,)
    text: Tensor  # (T, E)
    text_id: Tensor  # (T,)
    text_image_id: Tensor  # (T,) image that came with the text
    states: Tensor  # (T, L, D)
    mask: Tensor  # (T, L)
    tokens: dict[int, Tensor]  # index of an image of this rank -> (N, D), on the host

    def correct(self) -> Tensor:
        """True where the text, or one with an equal caption, came with the image, (I, T)."""
        own = self.image_id[:, None] == self.text_image_id
        caption = torch.unique(self.text_id, return_inverse=True)[1]
        image, text = own.nonzero(as_tuple=True)
        said = torch.zeros_like(own)
        said[image, caption[text]] = True
        return said[:, caption]


class Gallery:
    """Collects an evaluation's encodings batch by batch."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Tensor]] = {}

    def add(
        self, batch: PairBatch, tokens: Tensor, image: Tensor, states: Tensor, text: Tensor
    ) -> None:
        """Keep one batch; image tokens (B, N, D) move to the host, the rest stays."""
        rows = {
            "tokens": tokens.cpu(),
            "image": image,
            "text": text,
            "states": states,
            "mask": batch["attention_mask"],
            "image_id": batch["image_id"],
            "text_id": batch["text_id"],
            "position": batch["position"],
        }
        for name, value in rows.items():
            self._rows.setdefault(name, []).append(value.detach())

    def gather(self, gather: Callable[[Tensor], Tensor], world: int, rank: int) -> Gathered:
        """Bring all ranks together; what was repeated to fill ranks counts once.

        Args:
            gather: stacks the rows of all ranks, equal in number on each.
            world: W.
            rank: this rank.
        """
        longest = torch.tensor([[max(s.shape[1] for s in self._rows["states"])]])
        longest = longest.to(self._rows["states"][0].device)
        length = int(gather(longest).max())
        for name in ("states", "mask"):
            self._rows[name] = [_pad(x, length) for x in self._rows[name]]
        joined = {name: torch.cat(rows) for name, rows in self._rows.items()}
        tokens = joined.pop("tokens")
        full = {name: gather(rows) for name, rows in joined.items()}
        texts = first_of_each(full["position"])
        texts = texts[full["position"][texts].argsort()]
        images = texts[first_of_each(full["image_id"][texts])]
        per_rank = len(full["position"]) // world
        mine = {
            i: tokens[row - rank * per_rank]
            for i, row in enumerate(images.tolist())
            if row // per_rank == rank
        }
        return Gathered(
            image=full["image"][images],
            image_id=full["image_id"][images],
            text=full["text"][texts],
            text_id=full["text_id"][texts],
            text_image_id=full["image_id"][texts],
            states=full["states"][texts],
            mask=full["mask"][texts],
            tokens=mine,
        )


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
    wanted = i2t | t2i.T
    logits = torch.zeros_like(itc)
    for index, tokens in gathered.tokens.items():
        rows = wanted[index].nonzero().squeeze(1)
        keys = backbone.project(tokens.to(itc.device).unsqueeze(0))
        for part in torch.split(rows, rerank.chunk):
            first = backbone.match_state(gathered.states[part], gathered.mask[part], keys)
            logits[index, part] = matcher(first)[:, 1].to(logits.dtype)
    scores = sum_over_ranks(logits) + rerank.similarity * itc
    rest = scores.amin() - 2 + itc  # cosines keep their differences; far below they would round
    return torch.where(i2t, scores, rest), torch.where(t2i, scores.T, rest.T)


def _pad(rows: Tensor, length: int) -> Tensor:
    padding = [0, 0] * (rows.ndim - 2) + [0, length - rows.shape[1]]
    return F.pad(rows, padding)
