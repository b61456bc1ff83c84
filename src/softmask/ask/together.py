"""Chunks shared among ranks by Lightning's predict; apart, so that one process needs no Lightning.

Nothing that is embedded crosses ranks: the first one says which chunks are left, and at the end it
waits for the others.
"""

import signal
import time
from collections.abc import Sequence
from datetime import timedelta
from types import FrameType
from typing import cast

import lightning.pytorch as L
from torch import distributed
from torch.distributed import ProcessGroup

from softmask.ask.making import Making
from softmask.ask.plan import Job
from softmask.ask.ranks import Ranks
from softmask.errors import InputError, first_line
from softmask.model import SoftMask

LONGEST = timedelta(days=30)
"""That a rank waits for slower ones: as long as a job may take."""


def make_together(model: SoftMask, jobs: Sequence[Job], making: Making, ranks: Ranks) -> bool:
    """Make chunks on several ranks, started here unless torchrun or SLURM did.

    Args:
        model: on the CPU; each rank brings its own to its device.
        jobs: the chunks that are left; the first rank's count.
        making: makes them.
        ranks: that were checked.

    Returns:
        Whether this is the first rank; all others have ended their work, too.

    Raises:
        InputError: a thing of this rank's share cannot be read, or another rank has ended.
    """
    off = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = L.Trainer(
        accelerator=ranks.device,
        devices=ranks.devices,
        num_nodes=ranks.nodes,
        strategy="ddp",
        inference_mode=False,  # no_grad, as one process has it
        **dict.fromkeys(off, False),  # type: ignore[arg-type]
    )
    try:
        trainer.predict(_Shared(model, jobs, making), return_predictions=False)
    except BaseException:
        if trainer.strategy.launcher is not None:  # else those it started would go on alone
            trainer.strategy.launcher.kill(signal.SIGKILL)
        raise
    return trainer.is_global_zero


class _Shared(L.LightningModule):
    """One batch a rank: its share."""

    def __init__(self, model: SoftMask, jobs: Sequence[Job], making: Making) -> None:
        super().__init__()
        self.model, self.jobs, self.making = model, jobs, making

    def predict_dataloader(self) -> range:
        """A batch of which the number says nothing."""
        return range(1)

    def predict_step(self, *_: object) -> int:
        """Make the share, and wait for the other ranks."""
        # Ranks may see a shared disk differently: what the first one finds left counts.
        jobs = self.trainer.strategy.broadcast(self.jobs)
        share = jobs[self.trainer.global_rank :: self.trainer.world_size]
        # Lightning's own handler waits for ranks that may not have been asked to end.
        signal.signal(signal.SIGTERM, _end)
        everyone = cast(ProcessGroup, distributed.new_group(backend="gloo", timeout=LONGEST))
        self.making.make(self.model, share, quiet=not self.trainer.is_global_zero)
        _wait(everyone)
        return len(share)


def _wait(everyone: ProcessGroup) -> None:
    waiting = distributed.barrier(everyone, async_op=True)
    assert waiting is not None
    while not waiting.is_completed():  # signals are heard meanwhile
        time.sleep(0.05)
    try:
        waiting.wait()
    except RuntimeError as error:
        raise InputError(
            f"Another rank ended before its chunks were whole ({first_line(error)}): see what it "
            f"said, and start again with the same arguments. What is whole stays."
        ) from error


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)
