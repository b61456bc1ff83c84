"""Tasks that classify the first fused token, taught by momentum twins (ALBEF, section 5).

B samples of this rank, D width, K classes, H x W pixels.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from softmask.backbone import Backbone
from softmask.batch import LabelledBatch
from softmask.errors import InputError
from softmask.losses import distilled_cross_entropy, match_accuracy
from softmask.nn import ClassHead
from softmask.optim import Optim
from softmask.tasks.classified import ClassifiedTask
from softmask.tasks.objective import Distillation
from softmask.tasks.taught import TaughtTask


class ClassifyTask(ClassifiedTask, TaughtTask):
    """Base of SNLI-VE and NLVR2.

    Args:
        backbone: the ViT, the BERT and the fusion encoder.
        classes: names of the K classes.
        optim: AdamW and its schedule.
        distillation: how much the twins teach, and how slowly they follow.
        init_from: weights to start from; see `TaskModule`.
    """

    head: ClassHead

    def __init__(
        self,
        backbone: Backbone,
        classes: tuple[str, ...],
        optim: Optim | None = None,
        distillation: Distillation | None = None,
        init_from: str | None = None,
    ) -> None:
        backbone.freeze_contrast()
        head = ClassHead(backbone.text.width, len(classes))
        super().__init__(backbone, optim, distillation, init_from, heads={"head": head})
        self.classes = classes

    @abstractmethod
    def pixels(self, batch: Any) -> Tensor:
        """The images that the ViT sees, of all sides one after the other, (B or 2 B, 3, H, W)."""

    def first_state(self, backbone: Backbone, batch: LabelledBatch) -> Tensor:
        """Fused states of first tokens, (B, D); the last layer computes no other."""
        mask = batch["attention_mask"]
        keys = backbone.project(backbone.image(self.pixels(batch)))
        return backbone.match_state(backbone.text(batch["input_ids"], mask), mask, keys)

    def compute_loss(self, batch: LabelledBatch) -> Tensor:
        """Cross-entropy with the labels and with the twins' beliefs.

        Args:
            batch: with known labels.

        Returns:
            The loss, ().
        """
        logits = self.head(self.first_state(self.backbone, batch))
        soft = self.teach(batch) if self.distillation.alpha else None
        loss = distilled_cross_entropy(logits, batch["label"], soft, self.alpha)
        right = match_accuracy(logits, batch["label"])
        self.log_dict(
            {"train/accuracy": right, "train/alpha": self.alpha}, batch_size=len(batch["key"])
        )
        return self.total({"class": loss}, batch["key"])

    def teach(self, batch: LabelledBatch) -> Tensor:
        """The momentum twins' logits, (B, K)."""
        with self.teaching():
            logits: Tensor = self.momentum.twin["head"](self.first_state(self.teacher, batch))
        return logits

    def judge(self, batch: LabelledBatch) -> tuple[Tensor, Tensor]:
        """Logits and labels of an evaluation's batch."""
        return self.head(self.first_state(self.backbone, batch)), batch["label"]

    def columns(self, batch: LabelledBatch) -> dict[str, Tensor]:
        """What tells samples apart."""
        return {"identity": batch["identity"]}

    def texts(self, batch: LabelledBatch) -> dict[str, list[str]]:
        """What samples are called."""
        return {"identifier": batch["identifier"]}

    def check(self, rows: Mapping[str, Tensor], stage: str) -> None:
        """Refuse samples that come twice: a test set counts each of its samples once.

        Raises:
            InputError: names one, or no label is known.
        """
        super().check(rows, stage)
        ids, counts = torch.unique(rows["identity"], return_counts=True)
        repeated = ids[counts > 1]
        if len(repeated):
            same = (rows["identity"] == repeated[0]).nonzero().flatten()
            name = self.rows.gather_texts(self.gather)["identifier"][int(same[0])]
            places = ", ".join(map(str, rows["position"][same[:5]].tolist()))
            raise InputError(
                f"{len(repeated)} identifiers of data.init_args.{stage} name several samples: "
                f"{name!r} those at the places {places}. Evaluation counts each sample once: "
                f"remove the copies, or give them other names."
            )

    def predict_step(self, batch: LabelledBatch, batch_idx: int) -> dict[str, Any]:
        """The likeliest class of each sample and the probabilities of all, by sample key."""
        logits, _ = self.judge(batch)
        return {
            "key": batch["key"],
            "position": batch["position"].tolist(),
            "identifier": batch["identifier"],
            "label": [self.classes[number] for number in logits.argmax(dim=1).tolist()],
            "probabilities": self.probabilities(logits),
        }
