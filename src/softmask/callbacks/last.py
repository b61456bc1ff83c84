"""Where to go on from."""

from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Checkpoint

from softmask.callbacks.folder import run_folder


class LastCheckpoint(Checkpoint):
    """Keeps `checkpoints/last.ckpt` at the end of the last epoch, or of the run, to resume from.

    ModelCheckpoint's own last checkpoint is written only when the monitored value improves.

    Args:
        every_n_train_steps: write it in the middle of epochs too; 0 does not.
    """

    def __init__(self, every_n_train_steps: int = 0) -> None:
        self.every_n_train_steps = every_n_train_steps
        self._saved = -1

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Write in the middle of an epoch when asked to."""
        if self.every_n_train_steps and trainer.global_step % self.every_n_train_steps == 0:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write at the end of an epoch."""
        self._saved = -1  # what an epoch's end adds to its last step's state is kept too
        self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write when a run ends in the middle of an epoch."""
        self._save(trainer)

    def _save(self, trainer: L.Trainer) -> None:
        if trainer.global_step == self._saved or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self._saved = trainer.global_step
        trainer.save_checkpoint(run_folder(trainer) / "checkpoints" / "last.ckpt")
