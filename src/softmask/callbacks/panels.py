"""Soft masks, and where expressions look, as pictures while training goes on."""

from collections.abc import Sequence

import lightning.pytorch as L
from torch import Tensor

from softmask.batch import CaptionedBatch, GroundingBatch
from softmask.callbacks.drawing import Drawing, Shown
from softmask.callbacks.looks import mark, rows_of, soft_rows
from softmask.captioned import first_captions
from softmask.captions import CaptionOptions, Captions
from softmask.grounding import best_box, enlarge
from softmask.metrics import box_iou, peak
from softmask.panels import (
    Grounded,
    grounding_panel,
    panel,
    said_of_boxes,
    said_of_masks,
)
from softmask.saliency import normalise_map
from softmask.tasks import GroundingTask, PretrainTask
from softmask.tokenizer import load_tokenizer


class SoftMaskPanels(Drawing):
    """Draws the soft masks of pretraining: `soft_mask.png`.

    Args:
        samples: how many; the same ones every time. 0 draws none.
        hiding: draw also where hiding a part of the picture costs the word its match, which takes a
            pass of the fusion encoder for each sample and patch; see `occlusion_maps`.
        words: to look for in captions of the first batch, in capitals or not: the first pair that
            has one shows it. Of "t-shirt", which the tokenizer cuts at the sign, "shirt" is one.
            Other pairs follow, each with a word of its own.
    """

    name = "soft_mask"

    def __init__(self, samples: int = 4, hiding: bool = False, words: Sequence[str] = ()) -> None:
        super().__init__(samples)
        self.hiding, self.words = hiding, words

    def draws(self, task: L.LightningModule) -> bool:
        """Pretraining's."""
        return isinstance(task, PretrainTask)

    def draw(self, trainer: L.Trainer, task: PretrainTask, batch: CaptionedBatch) -> Shown:
        """Draw one word of each sample."""
        text = trainer.datamodule.text  # type: ignore[attr-defined]
        options = CaptionOptions(text.max_words, text.max_tokens, text.sep, text.punctuation)
        captions = Captions(load_tokenizer(text.tokenizer), options)
        pairs = first_captions(batch)
        marked = mark(pairs, captions, self.samples, self.words)
        rows = soft_rows(task, pairs, captions, marked, self.hiding)
        return Shown(panel(rows), said_of_masks(rows))


class GroundingPanels(Drawing):
    """Draws expressions' maps, points, true and chosen boxes: `grounding.png`."""

    name = "grounding"

    def draws(self, task: L.LightningModule) -> bool:
        """Grounding's."""
        return isinstance(task, GroundingTask)

    def draw(self, trainer: L.Trainer, task: GroundingTask, batch: GroundingBatch) -> Shown:
        """Draw the expression of each sample."""
        few = rows_of(batch, range(min(self.samples, len(batch["key"]))))
        rows = [_grounded(task, few, row, patches) for row, patches in enumerate(task.maps(few))]
        return Shown(grounding_panel(rows), said_of_boxes(rows))


def _grounded(task: GroundingTask, batch: GroundingBatch, row: int, patches: Tensor) -> Grounded:
    size, box = batch["size"][row], batch["box"][row]
    saliency = enlarge(patches, size)
    best = best_box(saliency, batch["detections"][row], task.pointing.power)
    chosen = bool(best.isfinite().all())
    return Grounded(
        batch["image"][row].permute(1, 2, 0).cpu().numpy(),
        batch["caption"][row],
        normalise_map(patches.flatten()).view_as(patches),
        (peak(saliency) / size).tolist(),
        (box / size.repeat(2)).tolist(),
        (best / size.repeat(2)).tolist() if chosen else None,
        float(box_iou(best, box)) if chosen else None,
    )
