"""Text assignment, which readies the fusion encoder for two images (ALBEF, section 5).

B pairs of this rank, N image tokens, D width, E embedding width.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from softmask.backbone import Backbone
from softmask.batch import IGNORE, CaptionedBatch, PairBatch, PretrainBatch
from softmask.captioned import first_captions
from softmask.errors import InputError
from softmask.losses import (
    assign,
    distilled_cross_entropy,
    distractors,
    lonely,
    match_accuracy,
)
from softmask.nn import PairFusion
from softmask.optim import Optim
from softmask.renames import State
from softmask.tasks.classified import ClassifiedTask
from softmask.tasks.nlvr2 import for_pairs

CLASSES = ("left", "right", "neither")
"""Where the text's own image is."""
TEMPERATURE = 0.07
"""Of the resemblance by which distractors are drawn; fixed in ALBEF's code."""


class Nlvr2PretrainTask(ClassifiedTask):
    """Shows each text two images and asks which is its own (ALBEF, section 5); no twins.

    Evaluation draws nothing: the texts' own images take turns to be left, right and away, and the
    others are the likest of the batch. So scores compare for one batch size and number of ranks.

    Args:
        backbone: the ViT, the BERT and the fusion encoder of one image, which is doubled.
        optim: AdamW and its schedule.
        init_from: weights to start from: of this task, or of pretraining, whose fusion layers are
            doubled; see `TaskModule`.
    """

    classes = CLASSES

    def __init__(
        self, backbone: Backbone, optim: Optim | None = None, init_from: str | None = None
    ) -> None:
        backbone.freeze_contrast()
        backbone.fusion = PairFusion(backbone.fusion)
        super().__init__(backbone, optim, init_from)
        self.assigner = nn.Linear(backbone.text.width, len(CLASSES))

    def adapt(self, state: State) -> State:
        """Double the fusion layers of one image."""
        return for_pairs(state, self.backbone)

    def compute_loss(self, batch: PretrainBatch) -> Tensor:
        """Cross-entropy of the assignment, each of its three classes equally likely.

        Args:
            batch: pairs; the text is shown without masks.

        Returns:
            The loss, ().
        """
        kind = torch.randint(len(CLASSES), (len(batch["key"]),), device=self.device)
        logits = self.assign(batch, kind)
        right = match_accuracy(logits, kind)
        self.log("train/accuracy", right, batch_size=len(kind))
        return self.total({"assignment": distilled_cross_entropy(logits, kind)}, batch["key"])

    def assign(self, batch: PairBatch, kind: Tensor, noise: Tensor | None = None) -> Tensor:
        """Show each text two images of the batch.

        Args:
            batch: B pairs.
            kind: where the text's own image is to be, (B,).
            noise: Gumbel noise to draw distractors with, (B, B); a fresh draw unless given.

        Returns:
            Logits in float32, (B, 3).
        """
        tokens = self.backbone.image(batch["image"])
        with torch.no_grad():
            features = self.backbone.image_projection(tokens[:, 0])
            others = distractors(features, batch["image_id"], TEMPERATURE, noise)
        shown = assign(kind, others)
        keys = cast(PairFusion, self.backbone.fusion).project_chosen(tokens, *shown)
        mask = batch["attention_mask"]
        states = self.backbone.text(batch["input_ids"], mask)
        logits: Tensor = self.assigner(self.backbone.match_state(states, mask, keys))
        return logits.float()

    def judge(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Logits and kinds, by turns of the places in the data set, against the likest images."""
        kind = batch["position"] % len(CLASSES)
        still = torch.zeros(len(kind), len(kind), device=kind.device)
        logits = self.assign(batch, kind, still)
        return logits, kind.masked_fill(lonely(batch["image_id"]), IGNORE)

    def check(self, rows: Mapping[str, Tensor], stage: str) -> None:
        """Refuse batches in which no text has two other images.

        Raises:
            InputError: there is nothing else.
        """
        if (rows["label"] == IGNORE).all():
            raise InputError(
                f"Assignment shows a text its own image or two others, but no batch of "
                f"data.init_args.{stage} holds three different images: set "
                f"data.init_args.eval_batch_size to 3 or more."
            )

    def validation_step(self, batch: CaptionedBatch, batch_idx: int) -> None:  # type: ignore[override]  # all captions come
        """Assign the first caption of every image."""
        super().validation_step(first_captions(batch), batch_idx)

    def predict_step(self, given: CaptionedBatch, batch_idx: int) -> dict[str, Any]:
        """Where each image was shown to its first caption, and where it is seen, by sample key."""
        batch = first_captions(given)
        logits, kind = self.judge(batch)
        names = [*self.classes, None]  # IGNORE is none of them
        return {
            "key": batch["key"],
            "position": batch["position"].tolist(),
            "caption": batch["caption"],
            "shown": [names[max(number, -1)] for number in kind.tolist()],
            "label": [self.classes[number] for number in logits.argmax(dim=1).tolist()],
            "probabilities": self.probabilities(logits),
        }

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Refuse, on the host, a training batch in which a text lacks two other images.

        Raises:
            InputError: names the batch size and the samples.
        """
        if not self.trainer.training:
            return batch
        alone = lonely(batch["image_id"])
        if alone.any():
            keys = [k for k, a in zip(batch["key"], alone.tolist(), strict=True) if a]
            raise InputError(
                f"Assignment shows a text its own image or two others, but in a batch of "
                f"{len(batch['key'])} pairs the samples {', '.join(keys[:5])} have fewer than two "
                f"others. Set data.init_args.batch_size to 3 or more, and larger if images repeat."
            )
        return batch
