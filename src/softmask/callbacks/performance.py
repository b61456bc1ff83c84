"""How fast training goes."""

import time
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback


class Performance(Callback):
    """Logs samples a second of all ranks and the share of time spent waiting for data.

    Args:
        every: batches over which the figures are averaged.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self._waited = 0.0
        self._samples = 0
        self._batches = 0
        self._since = 0.0
        self._ended = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clocks: pauses between epochs are not training."""
        self._since = self._ended = time.perf_counter()
        self._waited = 0.0
        self._samples = self._batches = 0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The batch has arrived."""
        self._waited += time.perf_counter() - self._ended

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """The step is over; log now and then."""
        now = self._ended = time.perf_counter()
        self._samples += len(batch["key"]) * trainer.world_size
        self._batches += 1
        if self._batches == self.every:
            seconds = now - self._since
            pl_module.log("perf/samples_per_second", self._samples / seconds)
            pl_module.log("perf/data_wait", self._waited / seconds)
            pl_module.log("perf/seconds_per_step", seconds / self._batches)
            self._since, self._waited, self._samples, self._batches = now, 0.0, 0, 0
