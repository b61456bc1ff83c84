"""How exact matrix products of float32 are in training."""

import lightning.pytorch as L
import torch
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.callbacks import Callback


class MatmulPrecision(Callback):
    """Lets matrix products of float32 run in TF32 while a training lasts, on GPUs that have it.

    TF32 keeps float32's range and 10 of its 23 bits. Under bf16-mixed such products are few:
    similarities, and maps. Tests and predictions keep all bits; other devices are left alone.

    Args:
        tf32: whether to.
    """

    def __init__(self, tf32: bool = True) -> None:
        self.tf32 = tf32
        self._before: str | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Allow TF32."""
        if self.tf32 and stage == "fit" and isinstance(trainer.accelerator, CUDAAccelerator):
            self._before = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("high")

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Leave things as they were."""
        if self._before is not None:
            torch.set_float32_matmul_precision(self._before)
            self._before = None
