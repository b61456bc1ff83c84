"""Captioning: pictures and what people wrote about them.

B pictures of this rank, L tokens of the longest caption.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from data_modules.batches import Maker
from data_modules.contents import captions, encoded, meta
from data_modules.decode import Pixels
from data_modules.image import Distort
from data_modules.pictured import PicturedData, Reader
from data_modules.seeds import sample_seed
from data_modules.shards import Sample
from data_modules.text import Ids, Text
from softmask.batch import CaptionBatch


class CaptionData(PicturedData):
    """Samples of a picture and its captions, as pretraining has them.

    In training each epoch draws one of a picture's captions and ends it with [SEP], whatever
    `text.sep` says. In evaluation a picture may have none: there is nothing to score then. Results
    name a picture by the "coco_id" of its json, else by its "image_id", else by its key.
    See `PicturedData` for the settings.
    """

    def make_train(self) -> "MakeCaptions":
        """Give the maker of training batches."""
        distort = Distort(self.distortion, self.image_size)
        text = Text(replace(self.text, sep=True))
        reader = Reader(text, self.image_size, self.max_pixels, distort, self.seed)
        return MakeCaptions(reader, learn=True)

    def make_evaluation(self) -> "MakeCaptions":
        """Give the maker of evaluation batches."""
        return MakeCaptions(self.plain(), learn=False)


class CaptionItem(NamedTuple):
    """One picture and its captions."""

    image: Pixels  # (H, W, 3)
    input_ids: Ids  # (L,)
    references: list[str]
    image_name: str
    position: int
    key: str


class MakeCaptions(Maker):
    """Samples to a CaptionBatch.

    Args:
        reader: of pictures and captions.
        learn: draw a caption to learn; else captions may be missing, and are references alone.
    """

    def __init__(self, reader: Reader, *, learn: bool) -> None:
        self.reader, self.learn = reader, learn

    def item(self, sample: Sample, epoch: int) -> CaptionItem:
        """Make one picture with its captions, or raise BadSample."""
        notes = meta(sample)
        silent = not self.learn and "txt" not in sample.columns and "captions" not in notes
        texts = [] if silent else captions(sample)
        return CaptionItem(
            self.reader.picture(encoded(sample), sample, epoch),
            self._drawn(texts, sample, epoch) if self.learn else self.reader.text.start,
            texts,
            str(notes.get("coco_id", notes.get("image_id", sample.key))),
            sample.position,
            sample.key,
        )

    def batch(self, items: Sequence[CaptionItem], epoch: int) -> CaptionBatch:  # noqa: ARG002
        """Stack pictures."""
        input_ids, mask = self.reader.pad([item.input_ids for item in items])
        return {
            "image": self.reader.images([item.image for item in items]),
            "input_ids": input_ids,
            "attention_mask": mask,
            "references": [item.references for item in items],
            "image_name": [item.image_name for item in items],
            "position": torch.tensor([item.position for item in items]),
            "key": [item.key for item in items],
        }

    def _drawn(self, texts: Sequence[str], sample: Sample, epoch: int) -> Ids:
        seed = sample_seed(self.reader.seed, epoch, sample.draws)
        rng = np.random.default_rng([seed, 1])  # not the stream of the picture
        return self.reader.tokens(texts[int(rng.integers(len(texts)))])
