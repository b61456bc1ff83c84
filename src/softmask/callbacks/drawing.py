"""What the drawings of evaluation samples share: which samples, when, and where they go."""

from abc import abstractmethod
from math import inf
from typing import Any, NamedTuple

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image

from softmask.callbacks.folder import run_folder
from softmask.errors import refuse_outside
from softmask.panels import Pixels


class Shown(NamedTuple):
    """A drawing, and the same in words: one who cannot see it reads them."""

    pixels: Pixels
    said: str


class Drawing(Callback):
    """Base of callbacks that draw the first evaluation samples: in TensorBoard, a test's as PNG.

    Args:
        samples: how many; the same ones every time. 0 draws none.

    Raises:
        InputError: the number is negative.
    """

    name: str
    """Of the file, and in TensorBoard."""

    def __init__(self, samples: int = 4) -> None:
        refuse_outside(type(self).__name__, {"samples": samples}, {"samples": (0, inf)})
        self.samples = samples
        self._batch: Any = None

    @abstractmethod
    def draws(self, task: L.LightningModule) -> bool:
        """Whether it draws what this task evaluates."""

    @abstractmethod
    def draw(self, trainer: L.Trainer, task: Any, batch: Any) -> Shown:
        """Draw the first samples of a batch of a task that it draws."""

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
        if batch_idx == 0 and self.samples and self.draws(pl_module):
            self._batch = batch

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
        self._show(trainer, pl_module, "val")

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw, and save the drawing in the run's folder."""
        path = run_folder(trainer) / f"{self.name}.png"
        shown = self._show(trainer, pl_module, "test")
        if shown is not None:
            Image.fromarray(shown.pixels).save(path)
            print(f"Drawing:     {path}")

    def _show(self, trainer: L.Trainer, task: L.LightningModule, stage: str) -> Shown | None:
        batch, self._batch = self._batch, None
        if batch is None or not trainer.is_global_zero:
            return None
        shown = self.draw(trainer, task, batch)
        put(trainer, f"{self.name}/{stage}", shown)
        return shown


def put(trainer: L.Trainer, tag: str, shown: Shown) -> None:
    """Give TensorBoard a drawing and its words, where there is a TensorBoard."""
    if isinstance(trainer.logger, TensorBoardLogger):
        board, step = trainer.logger.experiment, trainer.global_step
        board.add_image(tag, shown.pixels, step, dataformats="HWC")
        board.add_text(tag, shown.said, step)
