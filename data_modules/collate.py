"""Samples to batches.

B samples of this rank, L tokens of the longest caption, M tokens to predict in the
whole batch (rounded up to keep shapes few), S words a pair.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_modules.decode import Pixels
from data_modules.text import Ids, TextDraw
from softmask.batch import IGNORE, PairBatch, PretrainBatch

MLM_MULTIPLE = 32
"""M is rounded up to a multiple of this, so that batches have few shapes."""


class PairItem(NamedTuple):
    """One pair as evaluation reads it."""

    image: Pixels  # (H, W, 3)
    input_ids: Ids  # (L,)
    image_id: int
    text_id: int
    position: int
    key: str
    caption: str


class PretrainItem(NamedTuple):
    """One pair as pretraining reads it; `pair.input_ids` gives way to the draw's."""

    pair: PairItem
    draw: TextDraw
    clean_image: Pixels | None  # (H, W, 3)


def pair_batch(items: Sequence[PairItem], pad: int, length: int | None = None) -> PairBatch:
    """Stack pairs.

    Args:
        items: B pairs with images of one size.
        pad: id of [PAD].
        length: tokens to pad to; None pads to the longest.
    """
    input_ids = pad_rows([item.input_ids for item in items], pad, length)
    lengths = torch.tensor([len(item.input_ids) for item in items])
    return {
        "image": images_batch([item.image for item in items]),
        "input_ids": input_ids,
        "attention_mask": torch.arange(input_ids.shape[1]) < lengths[:, None],
        "image_id": torch.tensor([item.image_id for item in items]),
        "text_id": torch.tensor([item.text_id for item in items]),
        "position": torch.tensor([item.position for item in items]),
        "key": [item.key for item in items],
        "caption": [item.caption for item in items],
    }


def pretrain_batch(
    items: Sequence[PretrainItem], pad: int, length: int | None = None
) -> PretrainBatch:
    """Stack augmented pairs; optional keys are there when every item has them."""
    draws = [item.draw for item in items]
    pairs = [item.pair._replace(input_ids=item.draw.input_ids) for item in items]
    stacked = pair_batch(pairs, pad, length)
    width = stacked["input_ids"].shape[1]
    fields = {
        **stacked,
        "mlm_at": _join([row * width + draw.mlm_at for row, draw in enumerate(draws)], 0),
        "mlm_labels": _join([draw.mlm_labels for draw in draws], IGNORE),
        "words": torch.from_numpy(np.stack([draw.words for draw in draws])),
    }
    # A checker cannot add the keys of two typed dicts.
    batch = cast(PretrainBatch, fields)
    if own := [draw.mlm_ids for draw in draws if draw.mlm_ids is not None]:
        batch["mlm_ids"] = pad_rows(own, pad, length)
    if clean := [draw.clean_ids for draw in draws if draw.clean_ids is not None]:
        batch["clean_ids"] = pad_rows(clean, pad, length)
    if images := [item.clean_image for item in items if item.clean_image is not None]:
        batch["clean_image"] = images_batch(images)
    return batch


def images_batch(images: Sequence[Pixels]) -> Tensor:
    """Stack pictures of one size, each (H, W, 3), to (B, 3, H, W)."""
    # The permuted view has channels-last strides: the layout that convolutions like best.
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def _join(parts: Sequence[NDArray[np.int64]], value: int) -> Tensor:
    joined = np.concatenate(parts)
    size = max(-(-len(joined) // MLM_MULTIPLE), 1) * MLM_MULTIPLE
    return torch.from_numpy(np.pad(joined, (0, size - len(joined)), constant_values=value))


def pad_rows(rows: Sequence[NDArray[np.int64]], value: int, length: int | None) -> Tensor:
    """Stack rows of ids, filled up with `value` to the longest or to `length`, (B, L)."""
    width = max(len(row) for row in rows) if length is None else length
    padded = np.full((len(rows), width), value, dtype=np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return torch.from_numpy(padded)
