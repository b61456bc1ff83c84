"""Captioning: pictures and what people wrote about them.

B pictures of this rank, L tokens of the longest caption.
"""

from data_modules.pictured import PicturedData
from data_modules.reasons import Reason

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
