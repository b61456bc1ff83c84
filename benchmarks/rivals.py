"""Those whose training steps are compared: this project in its modes, and LAVIS."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import lightning.pytorch as L
import torch

from benchmarks import peer
from benchmarks.sizes import StepSize, examples
from softmask.nn import compile_blocks
from softmask.optim import Optim
from softmask.tasks import Contrast, PretrainTask, SoftMasking

STEPS = 100_000
"""Of the run that a step is taken from: warm-up and cosine need to know."""
Part = tuple[Any, str]
"""An object and the name of its method."""


class Rival(Protocol):
    """A step that can be repeated."""

    def learn(self) -> None:
        """Forward, in which the twins move, and backward."""

    def update(self) -> None:
        """The optimiser's step."""

    def step(self) -> None:
        """Both."""

    def parts(self) -> Mapping[str, Part]:
        """Methods whose share of the step is asked, by name."""

    def parameters(self) -> int:
        """How many parameters are trained."""


class Alone(PretrainTask):
    """Pretraining without a loop around it; nobody reads its log."""

    def log(self, *args: object, **options: object) -> None:
        """Drop a value."""

    def log_dict(self, *args: object, **options: object) -> None:
        """Drop values."""


class Ours:
    """This project's step, as Lightning's loop calls it: no line of it is written again.

    Args:
        size: of the step.
        contrast: ITC's settings; the queue is the size's.
        soft_mask: weight of the soft masks.
        own_draw: MLM masks the text for itself, as in ALBEF.
        compiled: compile its blocks.
        device: to run on.
        precision: entered around the forward pass.
        kind: of task; one whose log is alive needs a trainer.
    """

    def __init__(
        self,
        size: StepSize,
        contrast: Mapping[str, Any],
        *,
        soft_mask: float,
        own_draw: bool,
        compiled: bool = False,
        device: str = "cpu",
        precision: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
        kind: type[PretrainTask] = Alone,
    ) -> None:
        torch.manual_seed(0)
        with torch.device(device):  # where three hundred million draws take no time
            self.task = kind(
                size.backbone(),
                contrast=Contrast(**{"queue_size": size.queue, **contrast}),
                soft_mask=SoftMasking(weight=soft_mask, layer=size.mapped),
            )
        self.task.trainer = L.Trainer(
            accelerator="cpu", devices=1, logger=False, enable_checkpointing=False
        )
        self.task.to(device).train()
        if compiled:
            compile_blocks(self.task)
        self.optimizer, self.schedule = Optim().build(self.task, STEPS)
        self.batch = examples(size, device, own_draw=own_draw)
        self.precision = precision

    def learn(self) -> None:
        """Forward, in which the twins move, and backward."""
        self.optimizer.zero_grad()
        with self.precision():
            loss = self.task.training_step(self.batch, 0)
        self.task.backward(loss)

    def update(self) -> None:
        """Norm of the gradients, optimiser, schedule."""
        self.task.on_before_optimizer_step(self.optimizer)
        self.optimizer.step()
        self.schedule.step()

    def step(self) -> None:
        """One step, after which no gradients wait in the memory that others need."""
        self.learn()
        self.update()
        self.optimizer.zero_grad()

    def parts(self) -> Mapping[str, Part]:
        """Grad-CAM, twins, optimiser."""
        return {
            "cam": (self.task, "word_maps"),
            "twins": (self.task.momentum, "update"),
            "optimizer": (self.optimizer, "step"),
        }

    def parameters(self) -> int:
        """How many parameters are trained."""
        return sum(p.numel() for p in self.task.parameters() if p.requires_grad)


class Lavis:
    """LAVIS's step on the same examples.

    Args:
        size: of the step.
        folder: where LAVIS lies.
        device: to run on.
        precision: entered around the forward pass.
    """

    def __init__(
        self,
        size: StepSize,
        folder: Path,
        *,
        device: str = "cpu",
        precision: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
    ) -> None:
        torch.manual_seed(0)
        batch = examples(size, device, own_draw=True)
        tokens = peer.Ready(batch["input_ids"], batch["attention_mask"])
        with torch.device(device):
            self.model = peer.build(size, folder, tokens).to(device)
        self.optimizer = peer.optimizer(self.model)
        # It ramps alpha up over two epochs: here it is past them.
        self.samples = {
            "image": (batch["image"].float() / 255 - 0.45) / 0.27,
            "text_input": batch["caption"],
            **{"epoch": 9, "iters": 0, "num_iters_per_epoch": 100},
        }
        self.precision = precision

    def learn(self) -> None:
        """Forward, in which the twins move, and backward, in the order of its runner."""
        with self.precision():
            loss = self.model(self.samples).loss
        self.optimizer.zero_grad()
        loss.backward()

    def update(self) -> None:
        """The optimiser's step."""
        self.optimizer.step()

    def step(self) -> None:
        """One step, after which no gradients wait in the memory that others need."""
        self.learn()
        self.update()
        self.optimizer.zero_grad()

    def parts(self) -> Mapping[str, Part]:
        """Twins and optimiser; it has no Grad-CAM."""
        return {
            "twins": (self.model, "_momentum_update"),
            "optimizer": (self.optimizer, "step"),
        }

    def parameters(self) -> int:
        """How many parameters are trained."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)


@contextlib.contextmanager
def timed(
    parts: Mapping[str, Part], clock: Callable[[], float], taken: dict[str, float]
) -> Iterator[None]:
    """Add up what methods take, while entered.

    Args:
        parts: methods by name.
        clock: gives seconds.
        taken: grows by the seconds of each call, by name.
    """

    def around(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: object, **options: object) -> object:
            start = clock()
            found = method(*args, **options)
            taken[name] = taken.get(name, 0.0) + clock() - start
            return found

        return run

    for name, (owner, method) in parts.items():
        setattr(owner, method, around(name, getattr(owner, method)))
    try:
        yield
    finally:
        for owner, method in parts.values():
            delattr(owner, method)
