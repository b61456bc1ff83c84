"""Pretraining with SoftMask++: focal ITC, soft-masked ITM and MLM on augmented pairs.

B pairs of this rank, W ranks, Q queue places, N image tokens, L words, M words to predict, G texts
that look at one image, D width, E embedding width. All three ideas switched
off (`gamma` 0, `soft_mask.weight` 0, text and image not augmented), this is ALBEF.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor

from softmask.backbone import Backbone
from softmask.batch import PretrainBatch
from softmask.losses import itm, match_labels, mlm
from softmask.nn import ImageKeys, SeveralKeys, WordHead, interleave, regroup
from softmask.optim import Optim
from softmask.tasks.contrast import Judged, Negatives, Seen
from softmask.tasks.objective import Contrast, Evaluation, SoftMasking, Weights
from softmask.tasks.soft import SoftMaskTask


class Read(NamedTuple):
    """What the unimodal encoders, or their twins, make of a batch with MLM's text."""

    seen: Seen
    words: Tensor  # (B, L, D) states of the text whose words MLM predicts; the pair's if shared


class Fused(NamedTuple):
    """The merged pass over plain pairs, and what the soft masks need of it."""

    logits: Tensor  # (3 B, 2) of pairs, of images with hard texts, of texts with hard images
    words: Tensor  # (M, D) fused states of the words that MLM predicts
    early: Tensor  # (B, L, D) of pairs, input of the mapped layer
    keys: ImageKeys  # of the B images


class PretrainTask(SoftMaskTask):
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
            backbone,
            optim,
            contrast,
            soft_mask,
            evaluation,
            init_from,
            bert,
            heads={"words": words},
        )
        self.weights = weights or Weights()

    def advance(self) -> None:
        """Clamp the temperature; let the twins follow."""
        self.backbone.clamp_temperature()
        super().advance()

    def compute_loss(self, batch: PretrainBatch) -> Tensor:
        """The loss of a step of SoftMask++; the queue moves.

        Args:
            batch: augmented pairs.

        Returns:
            The weighted sum of the losses, ().
        """
        ids, mask, masked = batch["input_ids"], batch["attention_mask"], batch.get("mlm_ids")
        seen, words = self.read(self.backbone, batch["image"], ids, masked, mask)
        taught = self.read_twins(batch)
        loss_itc, negatives = self.contrast_step(seen, taught.seen, batch)
        fused = self.match_step(seen, words, negatives, batch)
        losses = {
            "itc": self.weights.itc * loss_itc,
            "itm": self.weights.itm * itm(fused.logits, match_labels(fused.logits, 3)),
            "mlm": self.weights.mlm * self.word_step(fused, taught, batch),
        }
        if self.soft_mask.weight:
            soft = self.soft_step(seen, fused.early, fused.keys, negatives, batch)
            losses["soft"] = self.soft_loss(soft)
        self.judged = Judged(negatives, fused.logits.detach())
        self.log_matching(fused.logits)
        return self.total(losses, batch["key"])

    def read(
        self, backbone: Backbone, image: Tensor, ids: Tensor, masked: Tensor | None, mask: Tensor
    ) -> Read:
        """Encode images (B, 3, H, W) and texts (B, L), and MLM's own beside them in one pass.

        Args:
            backbone: the task's, or its twin.
            image: of the pairs.
            ids: their texts.
            masked: what MLM reads instead of them; None if it reads them.
            mask: True on words of both.
        """
        if masked is None:
            seen = self.see(backbone, image, ids, mask)
            return Read(seen, seen.states)
        both = self.see(backbone, image, torch.cat([ids, masked]), mask.repeat(2, 1))
        states, words = both.states.chunk(2)
        return Read(both._replace(states=states, text=both.text[: len(ids)]), words)

    def read_twins(self, batch: PretrainBatch) -> Read:
        """What the twins make of a batch, clean where it has clean pictures or texts for them."""
        ids = batch.get("clean_ids", batch["input_ids"])
        masked = batch.get("mlm_ids", batch["input_ids"] if "clean_ids" in batch else None)
        image = batch.get("clean_image", batch["image"])
        masked = masked if self.contrast.alpha else None  # they are not asked for words
        with self.teaching():
            return self.read(self.teacher, image, ids, masked, batch["attention_mask"])

    def match_step(
        self, seen: Seen, words: Tensor, negatives: Negatives, batch: PretrainBatch
    ) -> Fused:
        """Fuse pairs, hard texts, MLM's texts and texts with hard images in one pass."""
        fusion, mask, pairs = self.backbone.fusion, batch["attention_mask"], len(words)
        keys = self.backbone.project(seen.tokens)
        hard = keys.pick(negatives.image)
        # The text that MLM reads stands last: the pair itself when they share a masking draw.
        texts, masks = [seen.states[negatives.text], seen.states], [mask[negatives.text], mask]
        if "mlm_ids" in batch:
            texts.append(words)
            masks.append(mask)
        kinds, layer, last = len(texts), self.soft_mask.layer, len(fusion.layers) - 1
        rows = torch.cat([interleave(texts), seen.states])
        row_mask = torch.cat([interleave(masks), mask])
        both = SeveralKeys((keys, hard), (kinds * pairs, pairs))
        early = fusion(rows, row_mask, both, stop=layer)
        late = fusion(early, row_mask, both, start=layer, stop=last)
        own, opposed = regroup(late[:-pairs], kinds), late[-pairs:]
        at = batch["mlm_at"]
        if kinds == 2:  # matching reads the same text's first tokens
            at = torch.cat([at, torch.arange(pairs, device=mask.device) * mask.shape[1]])
        fused = fusion(own[:, -1], mask, keys, start=last, at=at)
        first = fusion.first_token(
            torch.cat([own[:, :-1].flatten(0, 1), opposed]),
            torch.cat([interleave(masks[:-1]), mask]),
            SeveralKeys((keys, hard), ((kinds - 1) * pairs, pairs)),
            start=last,
        )
        told = regroup(first[:-pairs], kinds - 1)
        matched = fused[-pairs:] if kinds == 2 else told[:, 1]
        logits = self.matcher(torch.cat([matched, told[:, 0], first[-pairs:]]))
        return Fused(logits, fused[: len(batch["mlm_at"])], early[1 : kinds * pairs : kinds], keys)

    def word_step(self, fused: Fused, taught: Read, batch: PretrainBatch) -> Tensor:
        """MLM through the fusion encoder, distilled from the twins."""
        at, labels = batch["mlm_at"], batch["mlm_labels"]
        logits = self.words(fused.words, self.backbone.text.table)
        mask = batch["attention_mask"]
        soft = self._taught_words(taught, mask, at) if self.contrast.alpha else None
        count = self.mean_over_ranks((labels >= 0).sum())
        return mlm(logits, labels, soft, self.alpha, count)

    def _taught_words(self, taught: Read, mask: Tensor, at: Tensor) -> Tensor:
        head = cast(WordHead, self.momentum.twin["words"])
        with self.teaching():
            keys = self.teacher.project(taught.seen.tokens)
            fused = self.teacher.fusion(taught.words, mask, keys, at=at)
            return head.forward(fused, self.teacher.text.table)
