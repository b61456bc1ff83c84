"""Visual entailment on SNLI-VE: does the image contradict a hypothesis, entail it, or neither?"""

from torch import Tensor

from softmask.backbone import Backbone
from softmask.batch import ENTAILMENT, LabelledBatch
from softmask.optim import Optim
from softmask.tasks.classify import ClassifyTask
from softmask.tasks.objective import Distillation


class EntailmentTask(ClassifyTask):
    """SNLI-VE as ALBEF does it (section 5): the premise is the image alone.

    Args:
        backbone: the ViT, the BERT and the fusion encoder.
        optim: AdamW and its schedule.
        distillation: how much the twins teach, and how slowly they follow.
        init_from: weights to start from; see `TaskModule`.
    """

    def __init__(
        self,
        backbone: Backbone,
        optim: Optim | None = None,
        distillation: Distillation | None = None,
        init_from: str | None = None,
    ) -> None:
        super().__init__(backbone, ENTAILMENT, optim, distillation, init_from)

    def pixels(self, batch: LabelledBatch) -> Tensor:
        """The images, (B, 3, H, W)."""
        return batch["image"]
