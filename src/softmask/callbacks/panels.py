"""Soft masks, and where expressions look, as pictures while training goes on."""

from typing import cast

import lightning.pytorch as L
import torch
from torch import Tensor

from softmask.batch import CaptionedBatch, GroundingBatch, ImageTextBatch
from softmask.callbacks.drawing import Drawing, Shown
from softmask.captioned import first_captions
from softmask.grounding import best_box, enlarge
from softmask.metrics import box_iou, peak
from softmask.panels import (
    Grounded,
    Row,
    grounding_panel,
    panel,
    said_of_boxes,
    said_of_masks,
)
from softmask.saliency import normalise_map
from softmask.tasks import GroundingTask, PretrainTask
from softmask.tokenizer import load_tokenizer


class SoftMaskPanels(Drawing):
    """Draws the soft masks of pretraining: `soft_mask.png`."""

    name = "soft_mask"

    def draws(self, task: L.LightningModule) -> bool:
        """Pretraining's."""
        return isinstance(task, PretrainTask)

    def draw(self, trainer: L.Trainer, task: PretrainTask, batch: CaptionedBatch) -> Shown:
        """Draw one word of each sample."""
        text = trainer.datamodule.text  # type: ignore[attr-defined]
        rows = _rows(task, _first(batch, self.samples), text.tokenizer)
        return Shown(panel(rows), said_of_masks(rows))


class GroundingPanels(Drawing):
    """Draws expressions' maps, points, true and chosen boxes: `grounding.png`."""

    name = "grounding"

    def draws(self, task: L.LightningModule) -> bool:
        """Grounding's."""
        return isinstance(task, GroundingTask)

    def draw(self, trainer: L.Trainer, task: GroundingTask, batch: GroundingBatch) -> Shown:
        """Draw the expression of each sample."""
        maps = task.maps(batch)[: self.samples]
        rows = [_grounded(task, batch, row, patches) for row, patches in enumerate(maps)]
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


def _first(batch: CaptionedBatch, count: int) -> ImageTextBatch:
    """The first images, each with its first caption."""
    pairs = first_captions(batch)
    first = {name: rows[:count] for name, rows in pairs.items()}  # type: ignore[index]
    return cast(ImageTextBatch, first)


def _rows(task: PretrainTask, batch: ImageTextBatch, tokenizer: str) -> list[Row]:
    """One word a sample, another one in each, the same in every drawing."""
    lengths = batch["attention_mask"].sum(dim=1)
    words = 1 + batch["position"] % (lengths - 1).clamp_min(1)
    explained = task.explain(batch, words[:, None])
    pieces = load_tokenizer(tokenizer)
    rows = []
    for i, (word, length) in enumerate(zip(words.tolist(), lengths.tolist(), strict=True)):
        tokens = batch["input_ids"][i].tolist()
        parts = (tokens[1:word], [tokens[word]], tokens[word + 1 : length])
        before, chosen, after = (str(pieces.decode(part)) for part in parts)
        rows.append(
            Row(
                batch["image"][i].permute(1, 2, 0).cpu().numpy(),
                before,
                chosen,
                after,
                _grid(task, explained.maps[i, 0]),
                float(explained.plain[i]),
                float(explained.masked[i, 0]),
            )
        )
    return rows


def _grid(task: PretrainTask, patches: Tensor) -> Tensor:
    return torch.unflatten(patches, 0, task.backbone.image.grid)
