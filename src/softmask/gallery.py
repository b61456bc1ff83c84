"""What a retrieval evaluation keeps: every image once, and every caption of it once.

B images and R texts of a batch; I images and T texts of all ranks, N image tokens, L words, D
width, E embedding width.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from softmask.batch import CaptionedBatch
from softmask.errors import InputError
from softmask.rows import Rows, first_of_each

Gather = Callable[[Tensor], Tensor]
"""Stacks the rows of all ranks, equal in number on each."""

GRID = 8
SAME_PICTURE = 32
"""Most levels of 255 by which the mean colour of any cell differs in a picture stored once more as
another JPEG. Of pixels, not of features: those of a fresh model are alike for all pictures."""


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
    image_place: Tensor  # (I,) in the data set
    text_place: Tensor  # (T, 2) of the image that came with the text; which of its captions it is
    tokens: dict[int, Tensor]  # index of an image of this rank -> (N, D), on the host

    def text_image(self) -> Tensor:
        """Index of the image that came with each text, (T,)."""
        known, order = self.image_id.sort()
        return order[torch.searchsorted(known, self.text_image_id)]

    def correct(self, equal_captions: bool = True) -> Tensor:
        """What answers what.

        Args:
            equal_captions: a text with the words of one that came with the image is right too.

        Returns:
            True where the text came with the image, or says the same, (I, T).
        """
        own = self.image_id[:, None] == self.text_image_id
        if not equal_captions:
            return own
        caption = torch.unique(self.text_id, return_inverse=True)[1]
        image, text = own.nonzero(as_tuple=True)
        said = torch.zeros_like(own)
        said[image, caption[text]] = True
        return said[:, caption]


class Gallery:
    """Collects an evaluation's encodings batch by batch.

    Image tokens go to the host of the rank that made them, all else stays on the device. COCO's
    5,000 test images at 384 pixels and base size are 5,000 x 577 x 768 numbers: 8.9 GB on the host
    in float32, half of it with `half_tokens`, shared by the ranks. Its 25,010 texts of 30 tokens
    are 2.3 GB on each device, twice that while they are joined; a matrix of scores is 0.5 GB.

    Args:
        rank: of this process.
        half_tokens: keep image tokens in bfloat16, which rounds what the matching head reads.
    """

    def __init__(self, rank: int = 0, half_tokens: bool = False) -> None:
        self.rank, self.half_tokens = rank, half_tokens
        self._images = Rows()
        self._texts: list[dict[str, Tensor]] = []
        self._tokens: dict[int, Tensor] = {}  # by place of the image in the data set

    def add(
        self, batch: CaptionedBatch, tokens: Tensor, image: Tensor, states: Tensor, text: Tensor
    ) -> None:
        """Keep one batch.

        Args:
            batch: B images with R texts.
            tokens: of the images, (B, N, D).
            image: features, (B, E).
            states: of the texts, (R, L, D).
            text: features, (R, E).
        """
        position, row = batch["position"], batch["image_row"]
        kept = (tokens.to(torch.bfloat16) if self.half_tokens else tokens).detach().cpu()
        self._tokens.update(zip(position.tolist(), kept, strict=True))
        images = {"image": image, "image_id": batch["image_id"], "cells": cells(batch["image"])}
        self._images.add(position, {**images, "rank": torch.full_like(position, self.rank)})
        texts = {
            "of": position[row],
            "turn": torch.arange(len(row), device=row.device) - torch.searchsorted(row, row),
            "image_id": batch["image_id"][row],
            "text_id": batch["text_id"],
            "text": text,
            "states": states,
            "mask": batch["attention_mask"],
        }
        self._texts.append({name: rows.detach() for name, rows in texts.items()})

    def gather(self, gather: Gather) -> Gathered:
        """Bring all ranks together, once; what was repeated to fill ranks counts once.

        Args:
            gather: stacks the rows of all ranks, equal in number on each.

        Raises:
            InputError: two pictures that do not look alike have one id.
        """
        images, texts = self._images.gather(gather), self._gather_texts(gather)
        once = first_of_each(images["image_id"])
        _check_ids(images, once)
        places = images["position"][once].tolist()
        # A place may be held by two ranks: the one whose row counts judges it.
        mine = (images["rank"][once] == self.rank).nonzero().squeeze(1).tolist()
        return Gathered(
            image=images["image"][once],
            image_id=images["image_id"][once],
            text=texts["text"],
            text_id=texts["text_id"],
            text_image_id=texts["image_id"],
            states=texts["states"],
            mask=texts["mask"],
            image_place=images["position"][once],
            text_place=texts["place"],
            tokens={index: self._tokens[places[index]] for index in mine},
        )

    def _gather_texts(self, gather: Gather) -> dict[str, Tensor]:
        """The texts in their order: ranks hold unequal numbers of unequal lengths."""
        own, self._texts = self._texts, []
        sizes = [
            sum(len(part["of"]) for part in own),
            max(part["mask"].shape[1] for part in own),
            1 + max(int(part["turn"].max()) for part in own),
        ]
        found = gather(torch.tensor([sizes], device=own[0]["of"].device))
        count, length, most = found.amax(dim=0).tolist()
        columns = {}
        for name in list(own[0]):
            # Taken out: the states of COCO's texts are there once, not once more for each step.
            parts = [part.pop(name) for part in own]
            columns[name] = _joined(parts, count, length if name in ("states", "mask") else None)
            del parts
        rows = Rows()
        of, turn = columns.pop("of"), columns.pop("turn")
        rows.add(of * most + turn, {**columns, "place": torch.stack([of, turn], dim=1)})
        return rows.gather(gather)


def cells(image: Tensor) -> Tensor:
    """Mean colours of pictures in a grid, (B, 3, H, W) uint8 to (B, 3, GRID, GRID) uint8."""
    return F.adaptive_avg_pool2d(image.float(), GRID).round().to(torch.uint8)


def _check_ids(images: dict[str, Tensor], once: Tensor) -> None:
    """Refuse to drop a picture, and to give its captions to another, because of its id."""
    known, order = images["image_id"][once].sort()
    kept = once[order[torch.searchsorted(known, images["image_id"])]]
    apart = (images["cells"].int() - images["cells"][kept].int()).abs().flatten(1).amax(dim=1)
    other = (apart > SAME_PICTURE).nonzero().flatten()
    if len(other):
        place = images["position"]
        first, second = int(place[kept[other[0]]]), int(place[other[0]])
        raise InputError(
            f"{len(other)} samples have the image_id of another picture, the first is sample "
            f"{second} of the data, which has that of sample {first}: give each picture one of its "
            f"own, for captions of one image_id count as right for one picture."
        )


def _joined(parts: list[Tensor], count: int, length: int | None) -> Tensor:
    """Rows of all parts; texts (R, L, ...) are padded to a length with zeros.

    A rank with fewer rows than `count` repeats its first one, which counts once.
    """
    shape = list(parts[0].shape[1:])
    if length is not None:
        shape[0] = length
    rows, at = parts[0].new_zeros(count, *shape), 0
    for part in parts:
        place = rows[at : at + len(part)]
        (place if length is None else place[:, : part.shape[1]]).copy_(part)
        at += len(part)
    rows[at:] = rows[:1]
    return rows
