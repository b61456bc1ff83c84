"""Tasks that learn by contrast: momentum twins, queue, focal ITC, hard negatives.

B pairs of this rank, W ranks, Q queue places, N image tokens, L words, D width, E embedding width.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from softmask.backbone import Backbone
from softmask.batch import PairBatch
from softmask.errors import InputError
from softmask.losses import (
    focal_itc,
    hard_negatives,
    match_accuracy,
    match_labels,
    same_item,
    similarity,
    soft_targets,
    without_negative,
)
from softmask.optim import Optim
from softmask.queue import FeatureQueue
from softmask.tasks.objective import Contrast, Evaluation
from softmask.tasks.pairs import PairTask


class Seen(NamedTuple):
    """What the unimodal encoders, or their twins, make of a batch."""

    tokens: Tensor  # (B, N, D) image
    image: Tensor  # (B, E) unit features
    states: Tensor  # (B, L, D) text
    text: Tensor  # (B, E) unit features


class Negatives(NamedTuple):
    """Hard negatives of this rank's batch."""

    text: Tensor  # (B,) for each image, a text of another pair
    image: Tensor  # (B,) for each text, an image of another pair


class Judged(NamedTuple):
    """A step's negatives, and what the matching head made of them."""

    negatives: Negatives
    logits: Tensor  # (3 B, 2) of pairs, of images with hard texts, of texts with hard images


class ContrastTask(PairTask):
    """Base of pretraining and of retrieval's fine-tuning.

    Args:
        backbone: the ViT, the BERT and the fusion encoder.
        optim: AdamW and its schedule.
        contrast: focal ITC, twins and queue.
        evaluation: retrieval on validation and test data.
        init_from: weights to start from; see `TaskModule`.
        bert: name or folder of a BERT to start from; see `PretrainTask`.
        heads: modules beside the backbone that have momentum twins too, by attribute name.
    """

    def __init__(
        self,
        backbone: Backbone,
        optim: Optim | None = None,
        contrast: Contrast | None = None,
        evaluation: Evaluation | None = None,
        init_from: str | None = None,
        bert: str | None = None,
        heads: Mapping[str, nn.Module] | None = None,
    ) -> None:
        self.contrast = contrast or Contrast()
        super().__init__(backbone, optim, self.contrast, evaluation, init_from, bert, heads)
        self.queue = FeatureQueue(self.contrast.queue_size, backbone.embed_dim)
        self.judged: Judged | None = None
        """Of the last training step, to be looked at; without gradient."""

    @property
    def hardness(self) -> float | Tensor:
        """How much similarity steers the draw of negatives at this step: 0 not at all, 1 wholly."""
        return self.ramp(self.contrast.hard_steps)

    def ramps(self) -> set[int]:
        """How much the twins teach, and how hard negatives are."""
        return super().ramps() | {self.contrast.hard_steps}

    def loaded_weights(self) -> None:
        """Twins start equal to the weights just loaded, the queue without another run's pairs."""
        super().loaded_weights()
        fresh = FeatureQueue(self.contrast.queue_size, self.backbone.embed_dim)
        self.queue.load_state_dict(fresh.state_dict())

    def see(self, backbone: Backbone, image: Tensor, input_ids: Tensor, mask: Tensor) -> Seen:
        """Encode images (B, 3, H, W) and texts (B, L) apart."""
        tokens, image_feature = backbone.encode_image(image)
        states, text_feature = backbone.encode_text(input_ids, mask)
        return Seen(tokens, image_feature, states, text_feature)

    def ids(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """What tells pairs apart, (B,) twice: image and caption, or the image and itself."""
        text_id = batch["text_id"] if self.contrast.match_captions else batch["image_id"]
        return batch["image_id"], text_id

    def teach(self, image: Tensor, input_ids: Tensor, mask: Tensor) -> Seen:
        """What the momentum twins see of images (B, 3, H, W) and texts (B, L)."""
        with self.teaching():
            return self.see(self.teacher, image, input_ids, mask)

    def contrast_step(self, seen: Seen, taught: Seen, batch: PairBatch) -> tuple[Tensor, Negatives]:
        """Focal ITC against the twins' features of all ranks and the queue; then the negatives.

        Hard negatives come from this rank's batch alone, as in ALBEF.

        Returns:
            The loss, (), and the draw.
        """
        image_id, text_id = self.ids(batch)
        new = [self.gather(x) for x in (taught.image, taught.text, image_id, text_id)]
        queue = (self.queue.image, self.queue.text, self.queue.image_id, self.queue.text_id)
        images, texts, image_ids, text_ids = (
            torch.cat([a, b]) for a, b in zip(new, queue, strict=True)
        )
        temperature = self.backbone.temperature
        i2t = similarity(seen.image, texts, temperature)
        t2i = similarity(seen.text, images, temperature)
        own = torch.arange(len(image_id), device=image_id.device)
        own = own + len(own) * self.global_rank  # columns of this rank's own pairs
        positive = same_item(image_id, text_id, image_ids, text_ids)
        if not self.contrast.match_ids:
            positive = own[:, None] == torch.arange(len(image_ids), device=own.device)
        with torch.no_grad():
            teacher = (
                similarity(taught.image, texts, temperature),
                similarity(taught.text, images, temperature),
            )
            targets = [soft_targets(x, positive, self.alpha) for x in teacher]
        focus = self.contrast
        loss = focal_itc(
            i2t,
            t2i,
            *targets,
            gamma=focus.gamma,
            positive=positive if focus.per_row else None,
            detach=focus.detach,
        )
        self.queue.push(*new)
        same = same_item(image_id, text_id, image_id, text_id)
        return loss, self.draw_negatives(i2t[:, own], t2i[:, own], same)

    def draw_negatives(self, i2t: Tensor, t2i: Tensor, same: Tensor) -> Negatives:
        """Draw a hard text for each image and a hard image for each text; all (B, B)."""
        hard = self.hardness
        return Negatives(
            text=hard_negatives(hard * i2t, same), image=hard_negatives(hard * t2i, same)
        )

    def log_matching(self, logits: Tensor) -> None:
        """Log how pairs and negatives, the last two thirds of (3 B, 2), are told apart."""
        labels = match_labels(logits, 3)
        pairs = len(logits) // 3
        self.log_dict(
            {
                "train/accuracy/pairs": match_accuracy(logits[:pairs], labels[:pairs]),
                "train/accuracy/negatives": match_accuracy(logits[pairs:], labels[pairs:]),
                "train/temperature": self.backbone.temperature.detach(),
                "train/alpha": self.alpha,
                "train/hardness": self.hardness,
            },
            batch_size=pairs,
        )

    def on_train_start(self) -> None:
        """Refuse a queue that the global batch does not divide, before the first step."""
        super().on_train_start()
        batch = self.trainer.datamodule.batch_size  # type: ignore[attr-defined]
        self.queue.check(batch * self.trainer.world_size)
        if self.trainer.accumulate_grad_batches > 1:
            rank_zero_warn(
                f"accumulate_grad_batches={self.trainer.accumulate_grad_batches} enlarges the "
                f"optimiser's batch alone: contrast and hard negatives still see one micro-batch "
                f"and the queue, and the momentum twins and the queue move every micro-batch. To "
                f"contrast more pairs, enlarge the batch and set blocks.chunk instead."
            )

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Refuse, on the host, a training batch in which a pair has nothing to oppose it.

        Raises:
            InputError: names the batch size and the samples.
        """
        if not self.trainer.training:
            return batch
        alone = without_negative(*self.ids(batch))
        if alone.any():
            keys = [k for k, a in zip(batch["key"], alone.tolist(), strict=True) if a]
            raise InputError(
                f"Matching needs negatives, but in a batch of {len(batch['key'])} pairs the "
                f"samples {', '.join(keys[:5])} share their image or their caption with every "
                f"other one. Set data.init_args.batch_size to 2 or more, and larger if captions "
                f"repeat often."
            )
        return batch
