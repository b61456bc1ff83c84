"""How far a step moves the weights."""

from collections.abc import Iterable
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from softmask.nn.sharded import whole


class UpdateNorm(Callback):
    """Logs `train/update_norm`, the length of a step's move, at the steps that loggers look at.

    Such a step keeps one copy of the weights while it updates them, when its activations are gone.
    """

    def __init__(self) -> None:
        self._before: list[Tensor] = []

    def on_before_optimizer_step(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Keep the weights."""
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (trainer.global_step + 1) % every == 0:
            self._before = [parameter.detach().clone() for parameter in _moved(optimizer)]

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Log how far they came."""
        before, self._before = self._before, []
        if not before:
            return
        with torch.no_grad():
            after = [p for each in trainer.optimizers for p in _moved(each)]
            torch._foreach_sub_(before, after)
            pl_module.log("train/update_norm", whole(torch.nn.utils.get_total_norm(before)))


def _moved(optimizer: torch.optim.Optimizer) -> Iterable[Tensor]:
    return (parameter for group in optimizer.param_groups for parameter in group["params"])
