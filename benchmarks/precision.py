"""How far the losses of a step depend on precision and on compiling."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from benchmarks.presets import Row
from benchmarks.rivals import Ours
from benchmarks.sizes import StepSize


def agreement(
    rows: Mapping[str, Row], size: StepSize, device: str = "cuda"
) -> dict[str, dict[str, float]]:
    """The losses of a first step, without dropout, in several ways from the same weights.

    Args:
        rows: ours, in one mode, by way.
        size: of the step.
        device: to run on.

    Returns:
        By way, each loss and their sum.
    """
    return {name: _losses(row.ours(size, device)) for name, row in rows.items()}


def _losses(made: Ours) -> dict[str, float]:
    for module in made.task.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0  # type: ignore[assignment]
    seen: dict[str, Tensor] = {}
    made.task.guard.watch = lambda losses, *_: seen.update(losses)  # type: ignore[method-assign]
    torch.manual_seed(1)
    with made.precision():
        whole = made.task.training_step(made.batch, 0)
    return {name: float(loss.detach()) for name, loss in {**seen, "sum": whole}.items()}
