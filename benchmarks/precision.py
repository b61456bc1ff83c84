"""How far losses depend on precision, and weights on whether steps are replayed."""

from collections.abc import Mapping
from dataclasses import replace

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


def replay_difference(
    row: Row, size: StepSize, steps: int = 8, device: str = "cuda"
) -> dict[str, float]:
    """How far weights are apart after some steps, dropout included, from the same draws.

    Args:
        row: ours.
        size: of the step.
        steps: more than are taken before one is recorded.
        device: to run on.

    Returns:
        The largest difference between plain and replayed steps, between plain ones taken twice
        (kernels that add in any order), and the longest way that a weight came.
    """
    start = _weights(row.ours(size, device))
    plain, again, replayed = (
        _weights(_trained(each.ours(size, device), steps))
        for each in (row, row, replace(row, replayed=True))
    )
    return {
        "plain_and_replayed": float((plain - replayed).abs().max()),
        "plain_twice": float((plain - again).abs().max()),
        "moved": float((plain - start).abs().max()),
    }


def _trained(made: Ours, steps: int) -> Ours:
    for step in range(steps):
        torch.manual_seed(step)
        made.step()
    return made


def _weights(made: Ours) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in made.task.parameters()])
