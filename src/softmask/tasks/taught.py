"""Tasks that momentum twins of their own modules teach (ALBEF, section 3.4)."""

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from softmask.backbone import Backbone
from softmask.momentum import Momentum
from softmask.optim import Optim
from softmask.tasks.evaluated import EvaluatedTask
from softmask.tasks.objective import Distillation


class TaughtTask(EvaluatedTask):
    """Base of all tasks with momentum twins, which each step moves before it asks them.

    Args:
        backbone: the ViT, the BERT and the fusion encoder.
        optim: AdamW and its schedule.
        distillation: how much the twins teach, and how slowly they follow.
        init_from: weights to start from; see `TaskModule`.
        heads: modules beside the backbone that have momentum twins too, by attribute name.
    """

    def __init__(
        self,
        backbone: Backbone,
        optim: Optim | None = None,
        distillation: Distillation | None = None,
        init_from: str | None = None,
        heads: Mapping[str, nn.Module] | None = None,
    ) -> None:
        super().__init__(backbone, optim, init_from)
        self.distillation = distillation or Distillation()
        self._heads = tuple(heads or {})
        for name, head in (heads or {}).items():
            self.add_module(name, head)
        self.momentum = Momentum(self.taught(), self.distillation.momentum)

    def taught(self) -> dict[str, nn.Module]:
        """The modules that have momentum twins."""
        return {name: self.get_submodule(name) for name in ("backbone", *self._heads)}

    @property
    def teacher(self) -> Backbone:
        """The backbone's momentum twin."""
        return cast(Backbone, self.momentum.twin["backbone"])

    @contextmanager
    def teaching(self) -> Iterator[None]:
        """What the twins are asked in: without gradients, in bfloat16 if they are to."""
        less: AbstractContextManager[Any] = contextlib.nullcontext()
        if self.distillation.twins_bf16:
            less = torch.autocast(self.device.type, torch.bfloat16)
        with torch.no_grad(), less:
            yield

    @property
    def alpha(self) -> float | Tensor:
        """Share of the twins' beliefs at this step: a linear ramp, then constant."""
        return self.distillation.alpha * self.ramp(self.distillation.alpha_steps)

    def frozen(self) -> list[nn.Module]:
        """What stays as it is, and its twins, which then see what it sees."""
        own = super().frozen()
        if "momentum" not in self._modules:  # not made yet
            return own
        return own + [self.teacher.get_submodule(part) for part in self.optim.freeze]

    def advance(self) -> None:
        """Let the twins follow."""
        self.momentum.update(self.taught())

    def loaded_weights(self) -> None:
        """Twins start equal to the weights just loaded."""
        self.momentum.copy_from(self.taught())

    def ramps(self) -> set[int]:
        """How much the twins teach."""
        return super().ramps() | {self.distillation.alpha_steps}
