"""Soft masks as pictures, while training goes on."""

from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from torch import Tensor

from softmask.batch import CaptionedBatch, ImageTextBatch
from softmask.callbacks.folder import run_folder
from softmask.panels import Pixels, Row, panel
from softmask.rows import first_of_each
from softmask.tasks import PretrainTask
from softmask.tokenizer import load_tokenizer


class SoftMaskPanels(Callback):
    """Draws the soft masks of the first evaluation samples: in TensorBoard, and of a test as PNG.

    Args:
        samples: how many; the same ones every time. 0 draws none.
    """

    def __init__(self, samples: int = 4) -> None:
        self.samples = samples
        self._batch: ImageTextBatch | None = None

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the first samples."""
        if batch_idx == 0 and self.samples:
            self._batch = _first(batch, self.samples)

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the first samples."""
        self.on_validation_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw."""
        self._draw(trainer, pl_module, "val")

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw, and save `soft_mask.png` in the run's folder."""
        path = run_folder(trainer) / "soft_mask.png"
        drawn = self._draw(trainer, pl_module, "test")
        if drawn is not None:
            Image.fromarray(drawn).save(path)
            print(f"Soft masks:  {path}")

    def _draw(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> Pixels | None:
        batch, self._batch = self._batch, None
        if batch is None or not isinstance(pl_module, PretrainTask) or not trainer.is_global_zero:
            return None
        text = trainer.datamodule.text  # type: ignore[attr-defined]
        drawn = panel(_rows(pl_module, batch, text.tokenizer))
        logger = trainer.logger
        if isinstance(logger, TensorBoardLogger):
            name = f"soft_mask/{stage}"
            logger.experiment.add_image(name, drawn, trainer.global_step, dataformats="HWC")
        return drawn


def _first(batch: CaptionedBatch, count: int) -> ImageTextBatch:
    """The first images, each with its first caption."""
    texts = first_of_each(batch["image_row"])[:count]
    return {
        "image": batch["image"][:count],
        "input_ids": batch["input_ids"][texts],
        "attention_mask": batch["attention_mask"][texts],
        "position": batch["position"][:count],
        "key": batch["key"][:count],
    }


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
