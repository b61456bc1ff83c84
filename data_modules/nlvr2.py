"""NLVR2: two pictures and a sentence that is true of them or not."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from data_modules.batches import Maker
from data_modules.contents import LEFT, RIGHT, meta, sides, task_text
from data_modules.labelled import LabelledItem, MakeLabelled
from data_modules.pictured import PicturedData, Reader
from data_modules.seeds import hash63
from data_modules.shards import Sample
from data_modules.sheet import Sheet
from softmask.batch import TRUTH, TwoImageBatch


class TwoImageItem(NamedTuple):
    """One sample of two pictures."""

    left: LabelledItem
    right: Sheet
    sentence_id: int


class Nlvr2Data(PicturedData):
    """Samples of two pictures, left.jpg and right.jpg, a sentence as txt, and a json.

    The json is {"label": true or false, or "True" or "False", "identifier": a name, "sentence_id":
    equal for the rows of one sentence}; without the last, equal sentences are one. The two pictures
    of a training sample are distorted apart. See `PicturedData` for the settings.
    """

    def make_train(self) -> "MakeTwoImages":
        """Give the maker of training batches."""
        return MakeTwoImages(self.distorted(), required=True)

    def make_evaluation(self) -> "MakeTwoImages":
        """Give the maker of evaluation batches."""
        return MakeTwoImages(self.plain(), required=False)


class MakeTwoImages(Maker):
    """Samples to a TwoImageBatch.

    Args:
        reader: of pictures and texts.
        required: whether a sample without a known label is bad, as in training.
    """

    def __init__(self, reader: Reader, *, required: bool) -> None:
        self.reader = reader
        self.labels = MakeLabelled(reader, TRUTH, required=required)

    def item(self, sample: Sample, epoch: int) -> TwoImageItem:
        """Make one sample, or raise BadSample."""
        left, right = (
            self.reader.picture(data, sample, epoch, side)
            for data, side in zip(sides(sample), (LEFT, RIGHT), strict=True)
        )
        sentence = meta(sample).get("sentence_id", task_text(sample))
        return TwoImageItem(self.labels.labelled(sample, left), right, hash63(str(sentence)))

    def batch(self, items: Sequence[TwoImageItem], epoch: int) -> TwoImageBatch:
        """Stack samples."""
        return {
            **self.labels.batch([item.left for item in items], epoch),
            "second_image": self.reader.images([item.right for item in items]),
            "sentence_id": torch.tensor([item.sentence_id for item in items]),
        }
