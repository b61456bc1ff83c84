"""NLVR2: is a sentence true of two images? And the pretraining of their encoder by assignment.

B sentences of this rank, each with two images, D width, H x W pixels.
"""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from softmask.backbone import Backbone
from softmask.batch import TRUTH, TwoImageBatch
from softmask.metrics import consistency
from softmask.nn import PairFusion
from softmask.optim import Optim
from softmask.renames import State, pair_fusion, untied
from softmask.tasks.classify import ClassifyTask
from softmask.tasks.objective import Distillation


class Nlvr2Task(ClassifyTask):
    """NLVR2 as ALBEF does it (section 5): each fusion layer twice, one for each image.

    Args:
        backbone: the ViT, the BERT and the fusion encoder of one image, which is doubled.
        optim: AdamW and its schedule.
        distillation: how much the twins teach, and how slowly they follow.
        init_from: weights to start from: of this task, of its pretraining, or of a fusion encoder
            of one image, whose layers are doubled; see `TaskModule`.
    """

    def __init__(
        self,
        backbone: Backbone,
        optim: Optim | None = None,
        distillation: Distillation | None = None,
        init_from: str | None = None,
    ) -> None:
        backbone.fusion = PairFusion(backbone.fusion)
        super().__init__(backbone, TRUTH, optim, distillation, init_from)

    def adapt(self, state: State) -> State:
        """Double the fusion layers of one image."""
        return for_pairs(state, self.backbone)

    def pixels(self, batch: TwoImageBatch) -> Tensor:
        """The left images, then the right ones, (2 B, 3, H, W): one pass of the ViT."""
        return torch.cat([batch["image"], batch["second_image"]])

    def columns(self, batch: TwoImageBatch) -> dict[str, Tensor]:  # type: ignore[override]
        """What tells samples apart, and sentences."""
        return {**super().columns(batch), "sentence_id": batch["sentence_id"]}

    def score(self, rows: Mapping[str, Tensor]) -> dict[str, Any]:
        """Accuracy, and the share of sentences that are right with all their images."""
        whole = consistency(rows["predicted"], rows["label"], rows["sentence_id"])
        return {**super().score(rows), "consistency": whole}


def for_pairs(state: State, backbone: Backbone) -> State:
    """Weights to start from, as a backbone with `PairFusion` keeps them.

    Args:
        state: names of a task, without queue and twins.
        backbone: of the task that starts.
    """
    paired = pair_fusion(state, len(backbone.fusion.layers))
    if wrong := untied(paired):
        rank_zero_warn(
            f"The weights to start from have other keys and values for right images than for left "
            f"ones in {len(wrong)} tensors, such as {wrong[0]}. Here both share theirs: the right "
            f"ones are taken, as the official code does."
        )
    return paired
