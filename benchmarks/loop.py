"""What Lightning's Trainer adds to a step on a GPU."""

from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from benchmarks.gpu import now
from benchmarks.presets import Row
from benchmarks.rivals import Ours
from benchmarks.sizes import StepSize
from softmask.batch import PretrainBatch
from softmask.tasks import PretrainTask


def overhead(row: Row, size: StepSize, steps: int = 40, warmup: int = 10) -> dict[str, float]:
    """Milliseconds of the same step in a plain loop and under the Trainer, in turns, twice.

    Args:
        row: ours.
        size: of the step.
        steps: that count.
        warmup: before them.
    """
    bare, under = [], []
    for _ in range(2):
        bare.append(bare_ms(row.ours(size, "cuda"), steps, warmup))
        under.append(trainer_ms(row.ours(size, "cuda", PretrainTask), steps, warmup))
    found = {"bare_ms": min(bare), "trainer_ms": min(under)}
    return {**found, "overhead": found["trainer_ms"] / found["bare_ms"] - 1}


class Clock(L.Callback):
    """Seconds of some of a run's steps, waiting for the device at both ends alone.

    Args:
        warmup: steps that do not count.
        steps: that count; the epoch goes on after them, for its end takes time of its own.
    """

    def __init__(self, warmup: int, steps: int) -> None:
        self.first, self.last = warmup, warmup + steps
        self.since = self.seconds = 0.0

    def on_train_batch_start(self, trainer: L.Trainer, *_: object) -> None:
        """Start or stop."""
        if trainer.global_step == self.first:
            self.since = now()
        if trainer.global_step == self.last:
            self.seconds = now() - self.since


class Held(L.LightningDataModule):
    """A batch that is on the device already, as often as wanted.

    Args:
        batch: to give.
        steps: of the epoch.
    """

    def __init__(self, batch: PretrainBatch, steps: int) -> None:
        super().__init__()
        self.batch, self.steps, self.batch_size = batch, steps, len(batch["key"])

    def train_dataloader(self) -> DataLoader[Any]:
        """Give it."""
        return DataLoader([self.batch] * self.steps, batch_size=None, collate_fn=_as_is)  # type: ignore[arg-type]


def _as_is(batch: PretrainBatch) -> PretrainBatch:
    return batch


def bare_ms(made: Ours, steps: int, warmup: int) -> float:
    """Milliseconds of a step in a plain loop, over steps that are not waited for."""
    for _ in range(warmup):
        made.step()
    start = now()
    for _ in range(steps):
        made.step()
    return (now() - start) / steps * 1000


def trainer_ms(made: Ours, steps: int, warmup: int) -> float:
    """Milliseconds of a step under Lightning's Trainer in bfloat16, with its log, likewise.

    Args:
        made: whose task and batch are used; its log must be alive.
        steps: that count.
        warmup: before them.
    """
    clock, whole = Clock(warmup, steps), warmup + steps + 1
    with TemporaryDirectory() as folder:
        trainer = L.Trainer(
            accelerator="gpu",
            devices=1,
            precision="bf16-mixed",
            max_steps=whole,
            logger=TensorBoardLogger(folder),
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            callbacks=[clock],
        )
        trainer.fit(made.task, datamodule=Held(made.batch, whole))
    return clock.seconds / steps * 1000
