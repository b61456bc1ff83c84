"""Samples to batches.

B samples of this rank, L tokens of the longest caption, M tokens to predict in the
whole batch (rounded up to keep shapes few), S words a pair.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from data_modules.sheet import Sheet
from data_modules.text import Ids, TextDraw
from softmask.batch import IGNORE, PairBatch, PretrainBatch

Lay = Callable[[Sequence[Sheet]], Tensor]
"""Lays images of one size into a batch, (B, 3, H, W)."""
MLM_MULTIPLE = 32
"""M is rounded up to a multiple of this, so that batches have few shapes."""


class PairText(NamedTuple):
    """One pair without its picture."""

    input_ids: Ids  # L
    image_id: int
    text_id: int
    position: int
    key: str
    caption: str


class PairItem(NamedTuple):
    """One pair as evaluation reads it."""

    image: Sheet  # of all items of one size
    text: PairText


class PretrainItem(NamedTuple):
    """One pair as pretraining reads it; `text.input_ids` gives way to the draw's."""

    image: Sheet
    clean_image: Sheet | None
    text: PairText
    draw: TextDraw
    rng: random.Random
    """Of what is still to be done to the image."""


def pair_batch(
    items: Sequence[PairItem], lay: Lay, pad: int, length: int | None = None
) -> PairBatch:
    """Stack pairs.

    Args:
        items: B pairs with images of one size.
        lay: images into a batch.
        pad: id of [PAD].
        length: tokens to pad to; None pads to the longest.
    """
    return _pairs(items, [item.text.input_ids for item in items], lay, pad, length)


def pretrain_batch(
    items: Sequence[PretrainItem], lay: Lay, pad: int, length: int | None = None
) -> PretrainBatch:
    """Stack augmented pairs; optional keys are there when every item has them."""
    draws = [item.draw for item in items]
    stacked = _pairs(items, [draw.input_ids for draw in draws], lay, pad, length)
    width = stacked["input_ids"].shape[1]
    fields = {
        **stacked,
        "mlm_at": _join(
            ([row * width + at for at in draw.mlm_at] for row, draw in enumerate(draws)), 0
        ),
        "mlm_labels": _join([draw.mlm_labels for draw in draws], IGNORE),
        "words": torch.tensor([draw.words for draw in draws]),
    }
    # A checker cannot add the keys of two typed dicts.
    batch = cast(PretrainBatch, fields)
    if own := [draw.mlm_ids for draw in draws if draw.mlm_ids is not None]:
        batch["mlm_ids"] = pad_rows(own, pad, length)
    if clean := [draw.clean_ids for draw in draws if draw.clean_ids is not None]:
        batch["clean_ids"] = pad_rows(clean, pad, length)
    if images := [item.clean_image for item in items if item.clean_image is not None]:
        batch["clean_image"] = lay(images)
    return batch


def _pairs(
    items: Sequence[PairItem | PretrainItem],
    ids: Sequence[Ids],
    lay: Lay,
    pad: int,
    length: int | None,
) -> PairBatch:
    texts = [item.text for item in items]
    input_ids = pad_rows(ids, pad, length)
    lengths = torch.tensor([len(each) for each in ids])
    return {
        "image": lay([item.image for item in items]),
        "input_ids": input_ids,
        "attention_mask": torch.arange(input_ids.shape[1]) < lengths[:, None],
        "image_id": torch.tensor([text.image_id for text in texts]),
        "text_id": torch.tensor([text.text_id for text in texts]),
        "position": torch.tensor([text.position for text in texts]),
        "key": [text.key for text in texts],
        "caption": [text.caption for text in texts],
    }


def _join(parts: Iterable[Ids], value: int) -> Tensor:
    joined = [each for part in parts for each in part]
    size = max(-(-len(joined) // MLM_MULTIPLE), 1) * MLM_MULTIPLE
    return torch.tensor(joined + [value] * (size - len(joined)))


def pad_rows(rows: Sequence[Ids], value: int, length: int | None) -> Tensor:
    """Stack rows of ids, filled up with `value` to the longest or to `length`, (B, L)."""
    width = max(map(len, rows)) if length is None else length
    return torch.from_numpy(
        np.array([[*row, *[value] * (width - len(row))] for row in rows], dtype=np.int64)
    )
