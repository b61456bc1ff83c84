"""Pretraining with SoftMask++: focal ITC, soft-masked ITM and MLM on augmented pairs.

B pairs of this rank, W ranks, Q queue places, N image tokens, L words, M words to predict, S soft
masks a pair, G texts that look at one image, D width, E embedding width. All three ideas switched
off (`gamma` 0, `soft_mask.weight` 0, text and image not augmented), this is ALBEF.
"""

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from softmask.backbone import Backbone
from softmask.batch import PretrainBatch
from softmask.errors import InputError
from softmask.losses import (
    focal_itc,
    hard_negatives,
    itm,
    match_accuracy,
    mlm,
    pick_positions,
    same_item,
    similarity,
    soft_targets,
    without_negative,
)
from softmask.momentum import Momentum
from softmask.nn import ImageKeys, WordHead
from softmask.optim import Optim
from softmask.queue import FeatureQueue
from softmask.saliency import (
    WordMaps,
    choose_words,
    empty_share,
    normalise_map,
    soft_mask,
    word_maps,
)
from softmask.tasks.objective import Contrast, Evaluation, SoftMasking, Weights
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


class Fused(NamedTuple):
    """The merged pass over plain pairs, and what the soft masks need of it."""

    logits: Tensor  # (3 B, 2) of pairs, of images with hard texts, of texts with hard images
    words: Tensor  # (B, L, D) fused states MLM reads
    early: Tensor  # (B, L, D) of pairs, input of the mapped layer
    keys: ImageKeys  # of the B images


class PretrainTask(PairTask):
    """SoftMask++ pretraining.

    Args:
        backbone: the ViT, the BERT and the fusion encoder.
        optim: AdamW and its schedule.
        contrast: focal ITC, twins and queue.
        soft_mask: soft-masked matching.
        weights: of the losses.
        evaluation: retrieval on validation and test data.
        init_from: weights to start from; see `TaskModule`.
        bert: name or folder of a BERT whose first layers start the text encoder and whose next
            ones start the fusion encoder, such as `bert-base-uncased`.
    """

    def __init__(
        self,
        backbone: Backbone,
        optim: Optim | None = None,
        contrast: Contrast | None = None,
        soft_mask: SoftMasking | None = None,
        weights: Weights | None = None,
        evaluation: Evaluation | None = None,
        init_from: str | None = None,
        bert: str | None = None,
    ) -> None:
        super().__init__(backbone, optim, evaluation, init_from, bert)
        self.contrast = contrast or Contrast()
        self.soft_mask = soft_mask or SoftMasking()
        self.weights = weights or Weights()
        self.words = WordHead(backbone.text.width, backbone.text.table.shape[0])
        self.momentum = Momentum(self._taught(), self.contrast.momentum)
        self.queue = FeatureQueue(self.contrast.queue_size, backbone.embed_dim)
        self._check_layer()

    # -- the step, a line for each sentence of the method ------------------------------------

    def training_step(self, batch: PretrainBatch, batch_idx: int) -> Tensor:
        """One step of SoftMask++.

        Args:
            batch: augmented pairs.
            batch_idx: not read: draws are seeded by `on_train_batch_start`.

        Returns:
            The weighted sum of the losses, ().
        """
        self.backbone.clamp_temperature()
        seen = self.see(self.backbone, batch["image"], batch["input_ids"], batch["attention_mask"])
        self.momentum.update(self._taught())
        taught = self.teach(batch)
        loss_itc, negatives = self.contrast_step(seen, taught, batch)
        fused = self.match_step(seen, negatives, batch)
        losses = {
            "itc": self.weights.itc * loss_itc,
            "itm": self.weights.itm * itm(fused.logits, _match_labels(fused.logits, 3)),
            "mlm": self.weights.mlm * self.word_step(fused, taught, batch),
        }
        if self.soft_mask.weight:
            soft = self.soft_step(seen, fused, negatives, batch)
            labels = _match_labels(soft, 2 if self.soft_mask.negatives else 1)
            losses["soft"] = self.soft_mask.weight * itm(soft, labels)
            self._log_soft_accuracy(soft, labels)
        self._log_accuracy(fused.logits)
        return self.total(losses, batch["key"])

    def see(self, backbone: Backbone, image: Tensor, input_ids: Tensor, mask: Tensor) -> Seen:
        """Encode images (B, 3, H, W) and texts (B, L) apart."""
        tokens, image_feature = backbone.encode_image(image)
        states, text_feature = backbone.encode_text(input_ids, mask)
        return Seen(tokens, image_feature, states, text_feature)

    @torch.no_grad()
    def teach(self, batch: PretrainBatch) -> Seen:
        """What the momentum twins see: the same batch, or its clean views when it has them."""
        image = batch.get("clean_image", batch["image"])
        text = batch.get("clean_ids", batch["input_ids"])
        return self.see(self.teacher, image, text, batch["attention_mask"])

    def contrast_step(
        self, seen: Seen, taught: Seen, batch: PretrainBatch
    ) -> tuple[Tensor, Negatives]:
        """Focal ITC against the twins' features of all ranks and the queue; then the negatives.

        Hard negatives come from this rank's batch alone, as in ALBEF.
        """
        image_id, text_id = batch["image_id"], batch["text_id"]
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
            alpha = self.alpha
            target_i2t = soft_targets(similarity(taught.image, texts, temperature), positive, alpha)
            target_t2i = soft_targets(similarity(taught.text, images, temperature), positive, alpha)
        loss = focal_itc(
            i2t,
            t2i,
            target_i2t,
            target_t2i,
            gamma=self.contrast.gamma,
            per_row=self.contrast.per_row,
            detach=self.contrast.detach,
        )
        self.queue.push(*new)
        same = same_item(image_id, text_id, image_id, text_id)
        return loss, self.draw_negatives(i2t[:, own], t2i[:, own], same)

    def draw_negatives(self, i2t: Tensor, t2i: Tensor, same: Tensor) -> Negatives:
        """Draw a hard text for each image and a hard image for each text; all (B, B)."""
        return Negatives(text=hard_negatives(i2t, same), image=hard_negatives(t2i, same))

    def match_step(self, seen: Seen, negatives: Negatives, batch: PretrainBatch) -> Fused:
        """Fuse pairs, hard texts and MLM's texts in one pass over the images, hard images apart."""
        fusion, mask = self.backbone.fusion, batch["attention_mask"]
        keys = self.backbone.project(seen.tokens)
        states, masks = [seen.states, seen.states[negatives.text]], [mask, mask[negatives.text]]
        if "mlm_ids" in batch:
            states.append(self.backbone.text(batch["mlm_ids"], mask))
            masks.append(mask)
        grouped = len(states)
        rows, row_mask = _interleave(states), _interleave(masks)
        early = fusion(rows, row_mask, keys, stop=self.soft_mask.layer)
        late = fusion(early, row_mask, keys, start=self.soft_mask.layer)
        late = late.unflatten(0, (-1, grouped))
        opposed = self.backbone.fuse(seen.states, mask, keys.pick(negatives.image))
        logits = self.matcher(torch.cat([late[:, 0], late[:, 1], opposed]))
        return Fused(logits, late[:, grouped - 1 if grouped > 2 else 0], early[::grouped], keys)

    def word_step(self, fused: Fused, taught: Seen, batch: PretrainBatch) -> Tensor:
        """MLM through the fusion encoder, distilled from the twins."""
        at, labels = batch["mlm_at"], batch["mlm_labels"]
        logits = self.words(pick_positions(fused.words, at), self.backbone.text.table)
        soft = self._taught_words(taught, batch, at) if self.contrast.alpha else None
        count = (labels >= 0).sum()
        if self.trainer.world_size > 1:
            count = self.sum_over_ranks(count.float()) / self.trainer.world_size
        return mlm(logits, labels, soft, self.alpha, count)

    def soft_step(
        self, seen: Seen, fused: Fused, negatives: Negatives, batch: PretrainBatch
    ) -> Tensor:
        """Match pairs, and hard texts, with images whose features the chosen words fade.

        Returns:
            Logits of the S B pairs, then of as many negatives, (S B or 2 S B, 2).
        """
        mask, words = batch["attention_mask"], batch["words"]
        maps = choose_words(self.word_maps(fused.early, mask, fused.keys).cam, words)
        keep = soft_mask(normalise_map(maps, self.soft_mask.by_max))
        self._log_masks(maps, keep)
        times = words.shape[1]
        keys = self.backbone.fusion.soften(fused.keys.repeat(times), keep.flatten(0, 1))
        chosen = torch.arange(len(mask), device=mask.device).repeat_interleave(times)
        texts = [chosen]
        if self.soft_mask.negatives:
            texts.append(negatives.text.repeat_interleave(times))
        states = self.backbone.fuse(
            _interleave([seen.states[i] for i in texts]),
            _interleave([mask[i] for i in texts]),
            keys,
        )
        by_kind: Tensor = self.matcher(states).unflatten(0, (-1, len(texts))).transpose(0, 1)
        return by_kind.flatten(0, 1)

    def word_maps(self, early: Tensor, mask: Tensor, keys: ImageKeys) -> WordMaps:
        """Grad-CAM of the matching logit for each word, from the mapped layer's input.

        Args:
            early: of matched pairs, (B, L, D).
            mask: True on words, (B, L).
            keys: of the B images.
        """
        early, keys = early.detach(), keys.detach()

        def tail() -> tuple[Tensor, Tensor]:
            fusion = self.backbone.fusion
            states, attention = fusion.forward_with_map(early, mask, keys, self.soft_mask.layer)
            return self.matcher(states)[:, 1], attention

        return word_maps(tail)

    # -- twins ---------------------------------------------------------------------------------

    @property
    def teacher(self) -> Backbone:
        """The backbone's momentum twin."""
        return cast(Backbone, self.momentum.twin["backbone"])

    @property
    def alpha(self) -> float:
        """Share of the twins' beliefs at this step: a linear ramp, then constant."""
        steps = self.contrast.alpha_steps
        return self.contrast.alpha * min(1.0, self.global_step / steps if steps else 1.0)

    def loaded_weights(self) -> None:
        """Twins start equal to the weights just loaded."""
        self.momentum.copy_from(self._taught())

    @torch.no_grad()
    def _taught_words(self, taught: Seen, batch: PretrainBatch, at: Tensor) -> Tensor:
        states, mask = taught.states, batch["attention_mask"]
        if "mlm_ids" in batch or "clean_ids" in batch:
            states = self.teacher.text(batch.get("mlm_ids", batch["input_ids"]), mask)
        fused = self.teacher.fuse(states, mask, self.teacher.project(taught.tokens))
        head = cast(WordHead, self.momentum.twin["words"])
        return head.forward(pick_positions(fused, at), self.teacher.text.table)

    def _taught(self) -> dict[str, nn.Module]:
        return {"backbone": self.backbone, "words": self.words}

    # -- checks and logs -----------------------------------------------------------------------

    def on_train_start(self) -> None:
        """Refuse a queue that the global batch does not divide, before the first step."""
        batch = self.trainer.datamodule.batch_size  # type: ignore[attr-defined]
        self.queue.check(batch * self.trainer.world_size)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Refuse, on the host, a training batch in which a pair has nothing to oppose it.

        Raises:
            InputError: names the batch size and the samples.
        """
        if not self.trainer.training:
            return batch
        alone = without_negative(batch["image_id"], batch["text_id"])
        if alone.any():
            keys = [k for k, a in zip(batch["key"], alone.tolist(), strict=True) if a]
            raise InputError(
                f"Matching needs negatives, but in a batch of {len(batch['key'])} pairs the "
                f"samples {', '.join(keys[:5])} share their image or their caption with every "
                f"other one. Set data.init_args.batch_size to 2 or more, and larger if captions "
                f"repeat often."
            )
        return batch

    def _check_layer(self) -> None:
        layers = len(self.backbone.fusion.layers)
        if not 0 <= self.soft_mask.layer < layers:
            raise InputError(
                f"soft_mask.layer={self.soft_mask.layer} is not one of the {layers} fusion "
                f"layers: set model.init_args.soft_mask.layer to 0..{layers - 1}."
            )

    def _log_masks(self, maps: Tensor, keep: Tensor) -> None:
        masked = {
            "train/mask_mean": 1 - keep[..., 1:].mean(),
            "train/empty_maps": empty_share(maps),
        }
        self.log_dict(masked, batch_size=len(maps))

    def _log_accuracy(self, logits: Tensor) -> None:
        labels = _match_labels(logits, 3)
        pairs = len(logits) // 3
        self.log_dict(
            {
                "train/accuracy/pairs": match_accuracy(logits[:pairs], labels[:pairs]),
                "train/accuracy/negatives": match_accuracy(logits[pairs:], labels[pairs:]),
                "train/temperature": self.backbone.temperature.detach(),
                "train/alpha": self.alpha,
            },
            batch_size=pairs,
        )

    def _log_soft_accuracy(self, logits: Tensor, labels: Tensor) -> None:
        count = int(self.soft_mask.negatives) + 1
        for name, part, label in zip(
            ("masked_pairs", "masked_negatives"),
            logits.chunk(count),
            labels.chunk(count),
            strict=False,
        ):
            self.log(f"train/accuracy/{name}", match_accuracy(part, label), batch_size=len(part))


def _interleave(parts: list[Tensor]) -> Tensor:
    """G tensors (B, ...) to (B G, ...), the G rows of a pair in a run."""
    return torch.stack(parts, dim=1).flatten(0, 1)


def _match_labels(logits: Tensor, kinds: int) -> Tensor:
    """1 for the first of `kinds` equal parts of the rows, the matched pairs, 0 for the others."""
    labels = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    labels[: len(logits) // kinds] = 1
    return labels
