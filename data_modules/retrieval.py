"""Pictures with captions for retrieval: COCO and Flickr30K, or your own."""

from data_modules.captioned import MakeCaptioned, MakePairs
from data_modules.pictured import PicturedData


class RetrievalData(PicturedData):
    """Pairs to fine-tune on, and pictures with all their captions to evaluate.

    A picture comes once an epoch with one of its captions; with `train: [{path: ..., weight: 5}]`
    five times, of five captions with each once.
    """

    def make_train(self) -> MakePairs:
        """Give the maker of training batches."""
        return MakePairs(self.distorted())

    def make_evaluation(self) -> MakeCaptioned:
        """Give the maker of evaluation batches."""
        return MakeCaptioned(self.plain())
