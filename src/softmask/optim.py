"""AdamW with warm-up and cosine, and no decay on norms and biases (ALBEF's recipe)."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from softmask.errors import InputError, refuse_outside

FUSED_ON = {"cpu", "cuda"}
"""Devices that have AdamW's fused kernel."""
SET = ("initial_lr", "weight_decay", "betas", "eps")
"""Settings of a group that may change from run to run; its learning rate follows from them."""
KINDS = ("scalars", "vectors", "matrices")
"""Parameters by their number of dimensions; matrices and larger are one kind."""

Falls = Literal["step", "epoch"]
"""When the cosine moves."""
Part = Literal["image", "text", "fusion"]
"""An encoder of the backbone."""
Stack = Sequence[Sequence[nn.Parameter]]
"""Parameters of an encoder by layer, embeddings first."""


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
        layer_decay: layer l of n learns at `lr` times layer_decay^(n - l), embeddings being layer
            0 (BEiT, arXiv 2106.08254): the ViT counts its own layers, BERT those of text and fusion
            together. What is no layer of the backbone's learns at `lr`. 1 is ALBEF.
        freeze: encoders that stay as they are: no gradient, no dropout, not in the optimiser.
        falls: with every "step", the cosine beginning after warm-up; or as in ALBEF once an
            "epoch", to what the cosine of the whole run is where the epoch begins. Warm-up is then
            over with the first epoch, finished or not.
    """

    lr: float = 1e-4
    weight_decay: float = 0.02
    warmup_steps: int = 2000
    warmup_lr: float = 1e-5
    min_lr: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    scalar_lr: float = 1.0
    layer_decay: float = 1.0
    freeze: tuple[Part, ...] = ()
    falls: Falls = "step"

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        above = (1e-30, inf)
        rates = {"lr": above, "eps": above, "layer_decay": (1e-3, 1.0)}
        names = ("weight_decay", "warmup_steps", "warmup_lr", "min_lr", "scalar_lr")
        refuse_outside("optim", vars(self), rates | dict.fromkeys(names, (0.0, inf)))
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(
                f"optim.betas is {self.betas}: give two numbers from 0 to less than 1."
            )

    def check_rates(self) -> None:
        """Refuse a `min_lr` or `warmup_lr` above `lr`: the rate would rise, or fall in warm-up.

        Raises:
            InputError: names the two.
        """
        for name in ("min_lr", "warmup_lr") if self.warmup_steps else ("min_lr",):
            if (rate := getattr(self, name)) > self.lr:
                raise InputError(
                    f"optim.{name} is {rate:g} and optim.lr {self.lr:g}, the largest that the "
                    f"learning rate is to have: give an {name} of {self.lr:g} or less too."
                )

    def build(
        self,
        module: nn.Module,
        total_steps: int,
        *,
        epoch_steps: float = inf,
        fused: bool = True,
        stacks: Iterable[Stack] = (),
    ) -> tuple[AdamW, LambdaLR]:
        """The optimiser of `module`'s trainable parameters and its schedule over a run.

        Args:
            module: whose trainable parameters.
            total_steps: of the run.
            epoch_steps: of an epoch.
            fused: one kernel for the step where the device has one, as CPU and CUDA do.
            stacks: layers that `layer_decay` counts.
        """
        places = {p.device.type for p in module.parameters() if p.requires_grad}
        above = layers_above(stacks) if self.layer_decay < 1 else {}
        optimizer = AdamW(
            parameter_groups(
                module, self.weight_decay, self.lr, self.scalar_lr, self.layer_decay, above
            ),
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            fused=fused and places <= FUSED_ON,
        )
        return optimizer, LambdaLR(
            optimizer, lambda step: self.factor(step, total_steps, epoch_steps)
        )

    def factor(self, step: int, total_steps: int, epoch_steps: float = inf) -> float:
        """Learning rate at `step` of a run of `total_steps`, as a share of `lr`."""
        warm = min(self.warmup_steps, epoch_steps if self.falls == "epoch" else inf)
        if step < warm:
            climbed = (self.lr - self.warmup_lr) * step / self.warmup_steps
            return (self.warmup_lr + climbed) / self.lr
        part = self._part(step, total_steps, epoch_steps)
        cosine = (1 + math.cos(math.pi * min(part, 1.0))) / 2
        return (self.min_lr + (self.lr - self.min_lr) * cosine) / self.lr

    def _part(self, step: int, total_steps: int, epoch_steps: float) -> float:
        """How much of the cosine is over at `step`."""
        if self.falls == "epoch":
            return step // epoch_steps / max(math.ceil(total_steps / epoch_steps), 1)
        return (step - self.warmup_steps) / max(total_steps - self.warmup_steps, 1)


def settings_of(optimizer: Optimizer) -> list[dict[str, Any]]:
    """What a run sets of each group, and what a checkpoint would bring its own of."""
    return [{key: group[key] for key in SET if key in group} for group in optimizer.param_groups]


def set_again(
    optimizer: Optimizer, schedule: LambdaLR, settings: Sequence[Mapping[str, Any]]
) -> dict[str, tuple[Any, Any]]:
    """Give groups the settings of this run after a checkpoint gave them its own.

    Args:
        optimizer: whose groups.
        schedule: of the optimiser, at the step of the checkpoint.
        settings: of `settings_of`, before the checkpoint was read.

    Returns:
        What the checkpoint had and what is set, of the first group in which it differs, by name.
    """
    differ: dict[str, tuple[Any, Any]] = {}
    # Not strict: a callback may have added groups of its own.
    for place, (group, own) in enumerate(zip(optimizer.param_groups, settings, strict=False)):
        for key, value in own.items():
            if group[key] != value:
                differ.setdefault(key, (group[key], value))
        group.update(own)
        schedule.base_lrs[place] = own["initial_lr"]
        group["lr"] = own["initial_lr"] * schedule.lr_lambdas[place](schedule.last_epoch)
    schedule._last_lr = [group["lr"] for group in optimizer.param_groups]
    return differ


def layers_above(stacks: Iterable[Stack]) -> dict[nn.Parameter, int]:
    """How many layers of its stack stand above each parameter's: 0 for those of the last."""
    return {
        parameter: len(stack) - 1 - number
        for stack in stacks
        for number, layer in enumerate(stack)
        for parameter in layer
    }


def parameter_groups(
    module: nn.Module,
    weight_decay: float,
    lr: float,
    scalar_lr: float = 1.0,
    layer_decay: float = 1.0,
    above: Mapping[nn.Parameter, int] | None = None,
) -> list[dict[str, object]]:
    """Trainable parameters in groups: matrices and larger decay; vectors and scalars do not.

    ALBEF also decays its temperature, a side effect of its rule by name; this one does not.

    Args:
        module: whose parameters.
        weight_decay: of matrices.
        lr: learning rate of matrices and vectors.
        scalar_lr: that of scalars as a share of it.
        layer_decay: share that is left of it with each layer that stands above.
        above: number of layers above a parameter's own, where there are any.

    Returns:
        Matrices, vectors, and scalars where there are any, by these names in the logs; under other
        layers with how many: `matrices-03`.
    """
    found: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
    for parameter in module.parameters():
        if parameter.requires_grad:
            depth = (above or {}).get(parameter, 0)
            found[depth, -min(parameter.ndim, 2)].append(parameter)
    return [
        {
            "name": KINDS[-kind] + (f"-{depth:02d}" if depth else ""),
            "params": parameters,
            "lr": lr * layer_decay**depth * (1.0 if kind else scalar_lr),
            "weight_decay": weight_decay if KINDS[-kind] == "matrices" else 0.0,
        }
        for (depth, kind), parameters in sorted(found.items(), key=lambda item: item[0])
    ]
