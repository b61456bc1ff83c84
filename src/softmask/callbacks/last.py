"""Where to go on from."""

from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from softmask.callbacks.folder import run_path
from softmask.errors import InputError
from softmask.runs import CHECKPOINTS, LAST
from softmask.whole import replace_whole


class LastCheckpoint(Checkpoint):
    """Keeps `checkpoints/last.ckpt` at the end of the last epoch, or of the run, to resume from.

    ModelCheckpoint's own last checkpoint is written only when the monitored value improves.

    Args:
        every_n_train_steps: write it in the middle of epochs too, where a validation follows after
            it; 0 does not.
    """

    def __init__(self, every_n_train_steps: int = 0) -> None:
        self.every_n_train_steps = every_n_train_steps
        self._saved = -1
        self._due = False

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Write in the middle of an epoch when asked to."""
        if not self.every_n_train_steps or not between_steps(trainer):
            return
        self._due = self._due or trainer.global_step % self.every_n_train_steps == 0
        if self._due and not validates_next(trainer):
            self._save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write behind a validation what was due before it; an epoch's end writes soon itself."""
        if self._due and between_steps(trainer) and not trainer.is_last_batch:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write at the end of an epoch."""
        self._saved = -1  # what an epoch's end adds to its last step's state is kept too
        self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write when a run ends in the middle of an epoch."""
        self._save(trainer)

    def _save(self, trainer: L.Trainer) -> None:
        self._due = False
        if trainer.global_step == self._saved or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self._saved = trainer.global_step
        save_last(trainer)


def between_steps(trainer: L.Trainer) -> bool:
    """Whether no gradients wait for their step's other micro-batches: checkpoints hold none."""
    return not trainer.fit_loop.epoch_loop._should_accumulate()


def validates_next(trainer: L.Trainer) -> bool:
    """Whether a validation, or the epoch's end, comes before the next batch.

    A run that goes on from a checkpoint before it would skip it. Validations by the clock do not
    count: the clocks of ranks differ, and either all of them save or none.
    """
    loop = trainer.fit_loop
    if trainer.is_last_batch:
        return True
    by_clock = getattr(trainer, "_val_check_time_interval", None) is not None
    if by_clock or loop._data_fetcher is None:
        return False
    return loop.epoch_loop._should_check_val_fx(loop._data_fetcher)


def last_file(trainer: L.Trainer) -> Path:
    """Where a run keeps its last checkpoint; all ranks ask, the first one answers."""
    return run_path(trainer) / CHECKPOINTS / LAST


def save_last(trainer: L.Trainer) -> Path:
    """Write a run's last checkpoint, on all ranks together; whoever reads it finds a whole one.

    Lightning writes to /tmp and moves, which copies when the run is on another disk: a run killed
    in the middle of that would leave half a file where its last state was.
    """
    path = last_file(trainer)
    part = path.with_suffix(".part")
    trainer.save_checkpoint(part)
    if trainer.is_global_zero:
        replace_whole(part, path)
    trainer.strategy.barrier("save_last")
    return path


def find_last(trainer: L.Trainer, word: str = "last") -> Path | None:
    """The last checkpoint of this run from earlier starts, None if there is none yet.

    Args:
        trainer: of the run.
        word: what --ckpt_path was given.

    Raises:
        InputError: the run makes a new folder at each start, so it cannot have one.
    """
    if any(_numbers_itself(logger) for logger in trainer.loggers):
        raise InputError(
            f"--ckpt_path {word} is the {word} checkpoint in the run's own folder, but this run "
            f"would make a new folder at each start: name it with "
            f"--trainer.logger.init_args.version NAME, or give the path of a checkpoint."
        )
    path = last_file(trainer)
    return path if path.exists() else None


def _numbers_itself(logger: Logger) -> bool:
    # Asked for its version, a logger makes one up.
    return isinstance(logger, TensorBoardLogger | CSVLogger) and logger._version is None
