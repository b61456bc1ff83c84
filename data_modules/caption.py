"""Captioning: pictures and what people wrote about them.

B pictures of this rank.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from data_modules.batches import Maker
from data_modules.captioned import MakePairs
from data_modules.contents import captions, encoded, meta
from data_modules.identifiers import first_name
from data_modules.image import Distort
from data_modules.pictured import PicturedData, Reader
from data_modules.shards import Sample
from data_modules.sheet import Sheet
from data_modules.text import Text
from softmask.batch import CaptionBatch


class CaptionData(PicturedData):
    """Samples of a picture and its captions, as pretraining has them.

    Training takes a picture's captions in turn, as `RetrievalData` does, and ends them with [SEP]
    whatever `text.sep` says. In evaluation a picture may have no caption: there is nothing to score
    then. Results name a picture by the "coco_id" of its json, else by its "image_id", else by its
    key; null and "" are no ids. See `PicturedData` for the settings.
    """

    def make_train(self) -> MakePairs:
        """Give the maker of training batches."""
        distort = Distort(self.distortion, self.image_size)
        text = Text(replace(self.text, sep=True))
        return MakePairs(Reader(text, self.image_size, self.max_pixels, distort, self.seed))

    def make_evaluation(self) -> "MakeCaptions":
        """Give the maker of evaluation batches."""
        return MakeCaptions(self.plain())


class CaptionItem(NamedTuple):
    """One picture and its captions."""

    image: Sheet
    references: list[str]
    image_name: str
    position: int
    key: str


class MakeCaptions(Maker):
    """Samples to a CaptionBatch: whole pictures, all captions.

    Args:
        reader: of evaluation samples.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def item(self, sample: Sample, epoch: int) -> CaptionItem:
        """Make one picture with its captions, or raise BadSample."""
        notes = meta(sample)
        told = "txt" in sample.columns or "captions" in notes
        return CaptionItem(
            self.reader.picture(encoded(sample), sample, epoch),
            captions(sample) if told else [],
            first_name(notes, "coco_id", "image_id") or sample.key,
            sample.position,
            sample.key,
        )

    def batch(self, items: Sequence[CaptionItem], epoch: int) -> CaptionBatch:  # noqa: ARG002
        """Stack pictures."""
        return {
            "image": self.reader.images([item.image for item in items]),
            "references": [item.references for item in items],
            "image_name": [item.image_name for item in items],
            "position": torch.tensor([item.position for item in items]),
            "key": [item.key for item in items],
        }
