"""Pretraining with SoftMask++: focal ITC, soft-masked ITM and MLM on augmented pairs.

B pairs of this rank, W ranks, Q queue places, N image tokens, L words, M words to predict, S soft
masks a pair, G texts that look at one image, D width, E embedding width. All three ideas switched
off (`gamma` 0, `soft_mask.weight` 0, text and image not augmented), this is ALBEF.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor

from softmask.backbone import Backbone
from softmask.batch import ImageTextBatch, PretrainBatch
from softmask.errors import InputError
from softmask.explain import Explained, explain, match_maps
from softmask.losses import itm, match_accuracy, match_labels, mlm, pick_positions
from softmask.nn import ImageKeys, WordHead, interleave, regroup
from softmask.optim import Optim
from softmask.saliency import (
    WordMaps,
    choose_words,
    empty_share,
    normalise_map,
    soft_mask,
)
from softmask.tasks.contrast import ContrastTask, Negatives, Seen
from softmask.tasks.objective import Contrast, Evaluation, SoftMasking, Weights


class Fused(NamedTuple):
    """The merged pass over plain pairs, and what the soft masks need of it."""

    logits: Tensor  # (3 B, 2) of pairs, of images with hard texts, of texts with hard images
    words: Tensor  # (B, L, D) fused states MLM reads
    early: Tensor  # (B, L, D) of pairs, input of the mapped layer
    keys: ImageKeys  # of the B images


class PretrainTask(ContrastTask):
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

    words: WordHead

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
        words = WordHead(backbone.text.width, backbone.text.table.shape[0])
        super().__init__(
            backbone, optim, contrast, evaluation, init_from, bert, heads={"words": words}
        )
        self.soft_mask = soft_mask or SoftMasking()
        self.weights = weights or Weights()
        self._check_layer()

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
        self.momentum.update(self.taught())
        taught = self.teach(
            batch.get("clean_image", batch["image"]),
            batch.get("clean_ids", batch["input_ids"]),
            batch["attention_mask"],
        )
        loss_itc, negatives = self.contrast_step(seen, taught, batch)
        fused = self.match_step(seen, negatives, batch)
        losses = {
            "itc": self.weights.itc * loss_itc,
            "itm": self.weights.itm * itm(fused.logits, match_labels(fused.logits, 3)),
            "mlm": self.weights.mlm * self.word_step(fused, taught, batch),
        }
        if self.soft_mask.weight:
            soft = self.soft_step(seen, fused, negatives, batch)
            labels = match_labels(soft, 2 if self.soft_mask.negatives else 1)
            losses["soft"] = self.soft_mask.weight * itm(soft, labels)
            self._log_soft_accuracy(soft, labels)
        self.log_matching(fused.logits)
        return self.total(losses, batch["key"])

    def match_step(self, seen: Seen, negatives: Negatives, batch: PretrainBatch) -> Fused:
        """Fuse pairs, hard texts and MLM's texts in one pass over the images, hard images apart."""
        fusion, mask = self.backbone.fusion, batch["attention_mask"]
        keys = self.backbone.project(seen.tokens)
        # The text that MLM reads stands last: the pair itself when they share a masking draw.
        texts, masks = [seen.states[negatives.text], seen.states], [mask[negatives.text], mask]
        if "mlm_ids" in batch:
            texts.append(self.backbone.text(batch["mlm_ids"], mask))
            masks.append(mask)
        rows, row_mask, kinds = interleave(texts), interleave(masks), len(texts)
        last = len(fusion.layers) - 1
        early = fusion(rows, row_mask, keys, stop=self.soft_mask.layer)
        late = fusion(early, row_mask, keys, start=self.soft_mask.layer, stop=last)
        words = fusion(late[kinds - 1 :: kinds], mask, keys, start=last)
        late, row_mask = regroup(late, kinds), regroup(row_mask, kinds)
        match = fusion.first_token(
            late[:, :-1].flatten(0, 1), row_mask[:, :-1].flatten(0, 1), keys, start=last
        )
        match = regroup(match, kinds - 1)
        pairs = words[:, 0] if kinds == 2 else match[:, 1]
        opposed = self.backbone.match_state(seen.states, mask, keys.pick(negatives.image))
        logits = self.matcher(torch.cat([pairs, match[:, 0], opposed]))
        return Fused(logits, words, early[1::kinds], keys)

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
        rows = interleave([seen.states[i] for i in texts])
        first = self.backbone.match_state(rows, interleave([mask[i] for i in texts]), keys)
        return regroup(self.matcher(first), len(texts)).transpose(0, 1).flatten(0, 1)

    def word_maps(self, early: Tensor, mask: Tensor, keys: ImageKeys) -> WordMaps:
        """Grad-CAM of the matching logit for each word, from the mapped layer's input.

        Args:
            early: of matched pairs, (B, L, D).
            mask: True on words, (B, L).
            keys: of the B images.
        """
        return match_maps(self.backbone, self.matcher, early, mask, keys, self.soft_mask.layer)

    def explain(self, batch: ImageTextBatch, words: Tensor) -> Explained:
        """Map chosen words (B, S) of a batch, and match with and without what they saw."""
        return explain(
            self.backbone,
            self.matcher,
            self.soft_mask.layer,
            image=batch["image"],
            input_ids=batch["input_ids"],
            mask=batch["attention_mask"],
            words=words,
            by_max=self.soft_mask.by_max,
        )

    @torch.no_grad()
    def _taught_words(self, taught: Seen, batch: PretrainBatch, at: Tensor) -> Tensor:
        states, mask = taught.states, batch["attention_mask"]
        if "mlm_ids" in batch or "clean_ids" in batch:
            states = self.teacher.text(batch.get("mlm_ids", batch["input_ids"]), mask)
        fused = self.teacher.fuse(states, mask, self.teacher.project(taught.tokens))
        head = cast(WordHead, self.momentum.twin["words"])
        return head.forward(pick_positions(fused, at), self.teacher.text.table)

    def _check_layer(self) -> None:
        layers = len(self.backbone.fusion.layers)
        # Matching reads the first token: in the last layer no other word's map reaches it.
        top = layers - 2 if self.soft_mask.weight else layers - 1
        if not 0 <= self.soft_mask.layer <= top:
            raise InputError(
                f"soft_mask.layer={self.soft_mask.layer} cannot be mapped with {layers} fusion "
                f"layers, the last of which gives words no map: set "
                f"model.init_args.soft_mask.layer to 0..{max(top, 0)}"
                f"{'' if top >= 0 else ' and add a fusion layer, or soft_mask.weight to 0'}."
            )

    def _log_masks(self, maps: Tensor, keep: Tensor) -> None:
        masked = {
            "train/mask_mean": 1 - keep[..., 1:].mean(),
            "train/empty_maps": empty_share(maps),
        }
        self.log_dict(masked, batch_size=len(maps))

    def _log_soft_accuracy(self, logits: Tensor, labels: Tensor) -> None:
        count = int(self.soft_mask.negatives) + 1
        for name, part, label in zip(
            ("masked_pairs", "masked_negatives"),
            logits.chunk(count),
            labels.chunk(count),
            strict=False,
        ):
            self.log(f"train/accuracy/{name}", match_accuracy(part, label), batch_size=len(part))
