"""AdamW with warm-up and cosine, and no decay on norms and biases (ALBEF's recipe)."""

import math
from dataclasses import dataclass
from math import inf

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from softmask.errors import InputError, refuse_outside

FUSED_ON = {"cpu", "cuda"}
"""Devices that have AdamW's fused kernel."""


@dataclass(frozen=True)
class Optim:
    """The optimiser and its schedule, stepped every batch.

    Args:
        lr: peak learning rate; 1e-4 in ALBEF's pretraining.
        weight_decay: on matrices only.
        warmup_steps: steps of linear warm-up from `warmup_lr` to `lr`; 2,000 in ALBEF.
        warmup_lr: learning rate of the first step.
        min_lr: learning rate at the end of the cosine.
        betas: of AdamW.
        eps: of AdamW.
        scalar_lr: learning rate of scalars, which is the temperature, as a share of `lr`; 1 in
            ALBEF, whose `lr` is small. At 1e-3 the temperature falls before features mean anything.
    """

    lr: float = 1e-4
    weight_decay: float = 0.02
    warmup_steps: int = 2000
    warmup_lr: float = 1e-5
    min_lr: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    scalar_lr: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        above = (1e-30, inf)
        rates = {"lr": above, "eps": above}
        names = ("weight_decay", "warmup_steps", "warmup_lr", "min_lr", "scalar_lr")
        refuse_outside("optim", vars(self), rates | dict.fromkeys(names, (0.0, inf)))
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(
                f"optim.betas is {self.betas}: give two numbers from 0 to less than 1."
            )

    def build(
        self, module: nn.Module, total_steps: int, *, fused: bool = True
    ) -> tuple[AdamW, LambdaLR]:
        """The optimiser of `module`'s trainable parameters and its schedule over a run.

        Args:
            module: whose trainable parameters.
            total_steps: of the run.
            fused: one kernel for the step where the device has one, as CPU and CUDA do.
        """
        places = {p.device.type for p in module.parameters() if p.requires_grad}
        optimizer = AdamW(
            parameter_groups(module, self.weight_decay, self.lr, self.scalar_lr),
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            fused=fused and places <= FUSED_ON,
        )
        return optimizer, LambdaLR(optimizer, lambda step: self.factor(step, total_steps))

    def factor(self, step: int, total_steps: int) -> float:
        """Learning rate at `step` of a run of `total_steps`, as a share of `lr`."""
        if step < self.warmup_steps:
            return (
                self.warmup_lr + (self.lr - self.warmup_lr) * step / self.warmup_steps
            ) / self.lr
        rest = max(total_steps - self.warmup_steps, 1)
        cosine = (1 + math.cos(math.pi * min((step - self.warmup_steps) / rest, 1.0))) / 2
        return (self.min_lr + (self.lr - self.min_lr) * cosine) / self.lr


def parameter_groups(
    module: nn.Module, weight_decay: float, lr: float, scalar_lr: float = 1.0
) -> list[dict[str, object]]:
    """Trainable parameters in groups: matrices and larger decay; vectors and scalars do not.

    ALBEF also decays its temperature, a side effect of its rule by name; this one does not.

    Args:
        module: whose parameters.
        weight_decay: of matrices.
        lr: learning rate of matrices and vectors.
        scalar_lr: that of scalars as a share of it.

    Returns:
        Matrices, vectors, and scalars where there are any, by these names in the logs.
    """
    trainable = [p for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, object]] = [
        {"name": "matrices", "params": [p for p in trainable if p.ndim > 1]},
        {"name": "vectors", "params": [p for p in trainable if p.ndim == 1]},
    ]
    if scalars := [p for p in trainable if p.ndim == 0]:
        groups.append({"name": "scalars", "params": scalars, "lr": lr * scalar_lr})
    return [{"weight_decay": weight_decay if g["name"] == "matrices" else 0.0, **g} for g in groups]
