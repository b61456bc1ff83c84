"""A run's table, settings and layout in TensorBoard."""

from typing import Any

import lightning.pytorch as L
import yaml  # type: ignore[import-untyped]
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard.summary import hparams

from softmask.board import LAYOUT, flat_settings, markdown_code, markdown_table
from softmask.callbacks.facts import run_facts, settings_text
from softmask.callbacks.folder import run_folder


class RunBoard(Callback):
    """Gives TensorBoard what lets runs be told apart and compared.

    As a training starts: the text `run` (data hashes, parameters, commit) and `settings`; the
    settings for the hparams tab, which sets them beside the last values of the loss and of the
    monitored figures, in validation and in test; the layout of the custom-scalars tab. As a test
    starts, which opens its data: `run` again, with that data's hash.
    """

    def __init__(self) -> None:
        self._steps = 0

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember how long the weights were trained: a test alone takes no step."""
        self._steps = checkpoint["global_step"]

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the table with the test data's hash."""
        logger = trainer.logger
        if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
            table = markdown_table(run_facts(trainer, pl_module))
            logger.experiment.add_text("run", table, max(self._steps, trainer.global_step))

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write all of it."""
        logger, folder = trainer.logger, run_folder(trainer)  # which all ranks must ask for
        if not isinstance(logger, TensorBoardLogger) or not trainer.is_global_zero:
            return
        board, step = logger.experiment, trainer.global_step
        text = settings_text(folder)
        board.add_text("run", markdown_table(run_facts(trainer, pl_module)), step)
        board.add_text("settings", markdown_code(text), step)
        board.add_custom_scalars(LAYOUT)
        settings = yaml.safe_load(text) or {}
        figures = dict.fromkeys(_figures(trainer), 0.0)
        # Lightning's log_hyperparams would log a value of each figure too: only names are wanted.
        parts = hparams(flat_settings(settings), figures)  # type: ignore[no-untyped-call]
        for part in parts:
            board._get_file_writer().add_summary(part)


def _figures(trainer: L.Trainer) -> list[str]:
    """Tags whose last values runs are compared by."""
    kept = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
    watched = [c.monitor for c in kept if c.monitor]
    tested = [name.replace("val/", "test/", 1) for name in watched]
    return ["train/loss", *watched, *tested, "perf/samples_per_second"]
