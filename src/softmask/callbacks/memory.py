"""What becomes of memory that a training has freed."""

import lightning.pytorch as L
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback

from softmask.heap import keep_freed_memory


class KeptMemory(Callback):
    """Lets a training on CPUs keep what it frees for the next step; see `keep_freed_memory`.

    Args:
        keep: whether to.
    """

    def __init__(self, keep: bool = True) -> None:
        self.keep = keep

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Tell the C library."""
        if self.keep and stage == "fit" and isinstance(trainer.accelerator, CPUAccelerator):
            keep_freed_memory()
