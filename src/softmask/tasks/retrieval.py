"""Retrieval's fine-tuning: contrast and matching on pairs, as in ALBEF (section 4).

B pairs of this rank, L words, D width.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from softmask.batch import PairBatch
from softmask.losses import itm, match_labels
from softmask.nn import ImageKeys, SeveralKeys, interleave, regroup
from softmask.tasks.contrast import ContrastTask, Judged, Negatives, Seen


class Matched(NamedTuple):
    """The losses of a step, and what further ones need of it."""

    losses: dict[str, Tensor]  # scalars by name
    seen: Seen
    keys: ImageKeys  # of the B images
    negatives: Negatives


class RetrievalTask(ContrastTask):
    """Pretraining without masked words and soft masks; its settings are those of `ContrastTask`.

    A picture's captions may meet in one batch and in the queue: pairs of one image are each
    other's positives and never negatives. ALBEF's recipe is `contrast: {gamma: 0, match_captions:
    false}`, its evaluation `{equal_captions: false}`; as there, the temperature is not clamped.
    """

    def compute_loss(self, batch: PairBatch) -> Tensor:
        """The loss of distorted pictures and their captions; the queue moves.

        Args:
            batch: pairs.

        Returns:
            The sum of both losses, ().
        """
        return self.total(self.pair_step(batch).losses, batch["key"])

    def pair_step(self, batch: PairBatch) -> Matched:
        """Contrast and match pairs; the queue moves."""
        mask = batch["attention_mask"]
        seen = self.see(self.backbone, batch["image"], batch["input_ids"], mask)
        taught = self.teach(batch["image"], batch["input_ids"], mask)
        contrast, negatives = self.contrast_step(seen, taught, batch)
        keys = self.backbone.project(seen.tokens)
        logits = self.match_step(seen, keys, negatives, mask)
        self.judged = Judged(negatives, logits.detach())
        self.log_matching(logits)
        losses = {"itc": contrast, "itm": itm(logits, match_labels(logits, 3))}
        return Matched(losses, seen, keys, negatives)

    def match_step(self, seen: Seen, keys: ImageKeys, negatives: Negatives, mask: Tensor) -> Tensor:
        """Match pairs, images with hard texts, texts with hard images: logits (3 B, 2)."""
        pairs = len(mask)
        texts = interleave([seen.states, seen.states[negatives.text]])
        masks = interleave([mask, mask[negatives.text]])
        both = SeveralKeys((keys, keys.pick(negatives.image)), (2 * pairs, pairs))
        first = self.backbone.match_state(
            torch.cat([texts, seen.states]), torch.cat([masks, mask]), both
        )
        own, opposed = regroup(first[:-pairs], 2), first[-pairs:]
        logits: Tensor = self.matcher(torch.cat([own[:, 0], own[:, 1], opposed]))
        return logits
