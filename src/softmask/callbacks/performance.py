"""How fast training goes."""

import resource
import sys
import time
from contextlib import ExitStack
from math import inf
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.flop_counter import FlopCounterMode

from softmask.errors import refuse_outside

LEAST = (1e-6, inf)


class Performance(Callback):
    """Logs samples a second of all ranks, the share of time spent waiting for data, and memory.

    `perf/memory_gib` is the most that was allocated on the GPU, since the last time it was logged;
    on a CPU the most that the process held so far. `perf/mfu` is the share of the device's peak
    that the arithmetic of a step needs, recomputed blocks included (they are rather HFU then).

    Args:
        every: batches over which the figures are averaged.
        peak_tflops: of the device in the precision that is used, such as 989 of an H100 in bf16;
            the first step is counted then, and `perf/mfu` logged. None logs none.

    Raises:
        InputError: the peak is not positive.
    """

    def __init__(self, every: int = 10, peak_tflops: float | None = None) -> None:
        refuse_outside("performance", {"peak_tflops": peak_tflops or 1.0}, {"peak_tflops": LEAST})
        self.every, self.peak_tflops = every, peak_tflops
        self._flops = 0.0
        self._counter: FlopCounterMode | None = None
        self._counting = ExitStack()
        self._waited = 0.0
        self._samples = 0
        self._batches = 0
        self._since = 0.0
        self._ended = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clocks: a run that goes on in the middle of an epoch does not start that."""
        self._start()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clocks: pauses between epochs are not training."""
        self._start()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The batch has arrived."""
        self._waited += time.perf_counter() - self._ended
        if self.peak_tflops and not self._flops:
            self._counter = FlopCounterMode(display=False)
            self._counting.enter_context(self._counter)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """The step is over; log now and then."""
        if self._counter is not None:  # a step that is counted is slow, and not averaged
            self._count()
            self._start()
            return
        now = self._ended = time.perf_counter()
        self._samples += len(batch["key"]) * trainer.world_size
        self._batches += 1
        if self._batches == self.every:
            seconds = now - self._since
            pl_module.log("perf/samples_per_second", self._samples / seconds)
            pl_module.log("perf/data_wait", self._waited / seconds)
            pl_module.log("perf/seconds_per_step", seconds / self._batches)
            pl_module.log("perf/memory_gib", most_memory(pl_module.device) / 2**30)
            if self.peak_tflops:
                rate = self._flops * self._batches / seconds
                pl_module.log("perf/mfu", rate / (1e12 * self.peak_tflops))
            self._since, self._waited, self._samples, self._batches = now, 0.0, 0, 0

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Count no further."""
        if self._counter is not None:
            self._count()

    def _start(self) -> None:
        self._since = self._ended = time.perf_counter()
        self._waited = 0.0
        self._samples = self._batches = 0

    def _count(self) -> None:
        counter, self._counter = self._counter, None
        assert counter is not None
        self._counting.close()
        self._flops = max(float(counter.get_total_flops()), 1.0)


def most_memory(device: torch.device) -> int:
    """The most bytes allocated on a GPU since the last call; elsewhere, held by the process."""
    if device.type == "cuda":
        most = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return most
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else 1024 * held  # Linux counts in KiB
