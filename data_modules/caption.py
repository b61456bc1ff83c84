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
from data_modules.pictured import PicturedData, Reader
from data_modules.reasons import BadSample, Reason
from data_modules.seeds import sample_seed
from data_modules.shards import Sample
from data_modules.text import Ids, TextOptions
from softmask.batch import CaptionBatch

SILENT = (Reason.MISSING_CAPTION, Reason.EMPTY_CAPTION)


class CaptionData(PicturedData):
    """Samples of a picture and its captions, as pretraining has them.

    In training each epoch draws one of a picture's captions and ends it with [SEP], whatever
    `text.sep` says. In evaluation a picture may have none: there is nothing to score then. Results
    name a picture by the "coco_id" of its json, else by its "image_id", else by its key.
    See `PicturedData` for the settings.
    """

    def make_train(self) -> "MakeCaptions":
        """Give the maker of training batches."""
        return MakeCaptions(self.distorted(), self.seed)

    def make_evaluation(self) -> "MakeCaptions":
        """Give the maker of evaluation batches."""
        return MakeCaptions(self.plain())
