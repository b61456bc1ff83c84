"""TF32 is for trainings on GPUs alone, and ends with them."""

from types import SimpleNamespace

import pytest
import torch
import training
from lightning.pytorch.accelerators import CPUAccelerator, CUDAAccelerator

from softmask.callbacks import MatmulPrecision


@pytest.mark.parametrize(
    ("tf32", "accelerator", "stage", "during"),
    [
        (True, CUDAAccelerator, "fit", "high"),
        (True, CUDAAccelerator, "test", "highest"),
        (True, CPUAccelerator, "fit", "highest"),
        (False, CUDAAccelerator, "fit", "highest"),
    ],
)
def test_tf32_is_for_trainings_on_gpus(tf32, accelerator, stage, during):
    callback, trainer = MatmulPrecision(tf32), SimpleNamespace(accelerator=accelerator())
    assert torch.get_float32_matmul_precision() == "highest"
    callback.setup(trainer, training.task(), stage)
    try:
        assert torch.get_float32_matmul_precision() == during
    finally:
        callback.teardown(trainer, training.task(), stage)
    assert torch.get_float32_matmul_precision() == "highest"


def test_what_was_set_before_stays_set():
    callback, trainer = MatmulPrecision(), SimpleNamespace(accelerator=CUDAAccelerator())
    torch.set_float32_matmul_precision("medium")
    try:
        callback.setup(trainer, training.task(), "fit")
        callback.teardown(trainer, training.task(), "fit")
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
