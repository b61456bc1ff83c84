"""SNLI-VE: pictures with hypotheses that they contradict, entail, or neither."""

from data_modules.labelled import MakeLabelled
from data_modules.pictured import PicturedData
from softmask.batch import ENTAILMENT


class EntailmentData(PicturedData):
    """Samples of a picture, a hypothesis as txt, and a json {"label": ..., "identifier": ...}.

    The label is "contradiction", "neutral" or "entailment"; in evaluation it may be missing or "-".
    See `PicturedData` for the settings.
    """

    def make_train(self) -> MakeLabelled:
        """Give the maker of training batches."""
        return MakeLabelled(self.distorted(), ENTAILMENT, required=True)

    def make_evaluation(self) -> MakeLabelled:
        """Give the maker of evaluation batches."""
        return MakeLabelled(self.plain(), ENTAILMENT, required=False)
