"""How long steps take and what they hold: what a dry run looks at."""

import time
from contextlib import ExitStack
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback

from softmask.forecast import KeptForBackward, static_bytes


class Stopwatch(Callback):
    """Times steps from batch to batch, data included; looks at the memory of the first one.

    Args:
        hidden: blocks run so that the tensors they keep cannot be counted.
    """

    WARM_UP, TIMED = 2, 5
    ENOUGH = 60.0
    """Seconds after which no further step is timed."""

    def __init__(self, hidden: bool = False) -> None:
        self.hidden = hidden
        self.seconds: list[float] = []
        self.waited = 0.0
        self._began = self._ended = 0.0
        self._kept: KeptForBackward | None = None
        self._counting = ExitStack()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._began = self._ended = time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The batch has arrived."""
        if trainer.global_step == 0 and not self.hidden:
            self._kept = self._counting.enter_context(KeptForBackward(pl_module))
        if trainer.global_step >= self.WARM_UP:
            self.waited += time.perf_counter() - self._ended

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """The step is over when the device is done."""
        self._counting.close()
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        if trainer.global_step > self.WARM_UP:
            self.seconds.append(now - self._ended)
            trainer.should_stop = now - self._began > self.ENOUGH
        self._ended = now

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Count no further."""
        self._counting.close()

    def memory(self, task: L.LightningModule) -> tuple[dict[str, int | None], str]:
        """Bytes by part, and how activations were found."""
        held: dict[str, int | None] = {**static_bytes(task)}
        if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
            most = torch.cuda.max_memory_allocated()
            held["activations"] = max(most - sum(static_bytes(task).values()), 0)
            return held, "what the steps took at most, less all the above"
        held["activations"] = self._kept.most if self._kept else None
        if self._kept is None:
            return held, "blocks are compiled, recomputed or in chunks, which hides them on a CPU"
        return held, "tensors that autograd kept for the backward pass of a step, counted"
