"""Momentum twins: a frozen exponential average of whole modules (ALBEF, section 3.2)."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Momentum(nn.Module):
    """Averaged, frozen copies of named modules, in one object so that none can be forgotten.

    They follow `train()` and `eval()` as in ALBEF, whose twins keep BERT's dropout in training.

    Args:
        modules: what to copy, by name; `twin[name]` is the copy.
        momentum: m of twin = m twin + (1 - m) module; 1 freezes the twins, 0 copies.
    """

    def __init__(self, modules: Mapping[str, nn.Module], momentum: float = 0.995) -> None:
        super().__init__()
        self.twin = copy.deepcopy(nn.ModuleDict(modules)).requires_grad_(False)
        self.momentum = momentum

    @torch.no_grad()
    def update(self, modules: Mapping[str, nn.Module]) -> None:
        """Average `modules` into the twins, in place and in as few kernels as there are dtypes."""
        torch._foreach_lerp_(self._own(), _parameters(modules), 1.0 - self.momentum)

    @torch.no_grad()
    def copy_from(self, modules: Mapping[str, nn.Module]) -> None:
        """Make the twins equal to `modules`: after their weights were loaded."""
        torch._foreach_copy_(self._own(), _parameters(modules))

    def _own(self) -> list[Tensor]:
        return list(self.twin.parameters())


def _parameters(modules: Mapping[str, nn.Module]) -> list[Tensor]:
    return list(nn.ModuleDict(modules).parameters())
