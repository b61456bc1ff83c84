"""What a training will take, in numbers: memory by part, steps, contrasted pairs, time."""

import weakref
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from softmask.renames import TWIN


def count_parameters(module: nn.Module) -> dict[str, int]:
    """Count parameters that are trained, frozen, and momentum twins."""
    counts = Counter({"trainable": 0, "frozen": 0, "twins": 0})
    for name, parameter in module.named_parameters():
        counts[_kind(name, parameter)] += parameter.numel()
    return dict(counts)


def static_bytes(module: nn.Module) -> dict[str, int]:
    """Bytes that training holds whatever the batch, of sizes and types alone.

    Gradients have their parameters' type, and so have Adam's two moments.
    """
    held = Counter(dict.fromkeys(("weights", "gradients", "Adam", "twins", "buffers"), 0))
    for name, parameter in module.named_parameters():
        size, kind = parameter.nbytes, _kind(name, parameter)
        held["twins" if kind == "twins" else "weights"] += size
        if kind == "trainable":
            held["gradients"] += size
            held["Adam"] += 2 * size
    held["buffers"] = sum(buffer.nbytes for buffer in module.buffers())
    return dict(held)


def _kind(name: str, parameter: Tensor) -> str:
    if parameter.requires_grad:
        return "trainable"
    return "twins" if name.startswith(TWIN) else "frozen"


class KeptForBackward:
    """Counts the memory that autograd keeps for backward passes while it is entered.

    A tensor counts once however often it is kept, from the first time until the last one lets it
    go; parameters and buffers do not count. `most` is the largest sum there was, in bytes.

    Args:
        module: whose parameters and buffers are left out.
    """

    def __init__(self, module: nn.Module) -> None:
        own = (*module.parameters(), *module.buffers())
        self._own = {tensor.untyped_storage().data_ptr() for tensor in own}
        self._held: Counter[int] = Counter()  # by storage
        self._now = self.most = 0
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._keep, _give)

    def __enter__(self) -> "KeptForBackward":
        """Begin to count."""
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """Count no further tensors."""
        self._hooks.__exit__(*error)

    def _keep(self, tensor: Tensor) -> "Tensor | _Kept":
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if place in self._own or not size:
            return tensor
        if not self._held[place]:
            self._now += size
            self.most = max(self.most, self._now)
        self._held[place] += 1
        kept = _Kept(tensor)
        weakref.finalize(kept, self._let_go, place, size)
        return kept

    def _let_go(self, place: int, size: int) -> None:
        self._held[place] -= 1
        if not self._held[place]:
            self._now -= size


class _Kept:
    """Lives as long as autograd keeps its tensor."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def _give(kept: "Tensor | _Kept") -> Tensor:
    return kept.tensor if isinstance(kept, _Kept) else kept


class Lasts(NamedTuple):
    """How long a training is."""

    batches: int  # an epoch, on each rank
    steps: int | None  # of the optimiser in all; None without end
    epochs: float | None


def lasts(batches: int, accumulate: int, max_steps: int, max_epochs: int) -> Lasts:
    """Count a training's steps, by Lightning's rules.

    Args:
        batches: of an epoch, on each rank.
        accumulate: batches of a step; an epoch's last step may have fewer.
        max_steps: -1 for no limit.
        max_epochs: -1 for no limit.
    """
    steps = -(-batches // accumulate)
    limits = [max_steps] if max_steps >= 0 else []
    limits += [max_epochs * steps] if max_epochs >= 0 else []
    if not limits:
        return Lasts(batches, None, None)
    return Lasts(batches, min(limits), min(limits) / steps)


@dataclass(frozen=True)
class Forecast:
    """All that a dry run says.

    Args:
        task: its name.
        parameters: see `count_parameters`.
        memory: bytes by part; None where one could not be told.
        measured: how activations were measured, in words.
        samples: by split.
        batch: samples of a batch on each rank.
        ranks: W.
        accumulate: batches of a step.
        lasts: steps.
        done: steps that a checkpoint brings along.
        queue: Q; None when the task has no queue.
        seconds: of a batch, each one that was timed.
        waited: share of them that was spent waiting for data.
    """

    task: str
    parameters: Mapping[str, int]
    memory: Mapping[str, int | None]
    measured: str
    samples: Mapping[str, int]
    batch: int
    ranks: int
    accumulate: int
    lasts: Lasts
    done: int
    queue: int | None
    seconds: tuple[float, ...]
    waited: float


def forecast_table(told: Forecast) -> str:
    """A forecast as lines of text."""
    rows = [("parameters", ", ".join(f"{n:,} {kind}" for kind, n in told.parameters.items()))]
    notes = {"activations": told.measured, "Adam": "two moments", "buffers": "queue included"}
    for name, size in told.memory.items():
        rows.append((name, f"{gib(size)}  {notes.get(name, '')}".rstrip()))
    whole = sum(size or 0 for size in told.memory.values())
    rows.append(("together", f"{gib(whole)}  a device; kernels' scratch memory is on top"))
    rows.append(("samples", ", ".join(f"{n:,} to {split}" for split, n in told.samples.items())))
    whole_batch = told.batch * told.ranks
    rows.append(
        (
            "batches",
            f"{told.lasts.batches:,} an epoch on each of {told.ranks} rank(s), of {told.batch} "
            f"samples: {whole_batch} together",
        )
    )
    rows.append(("steps", _steps(told)))
    if told.queue is not None:
        rows.append(
            (
                "contrast",
                f"{whole_batch} samples of the batch and {told.queue:,} of the queue: "
                f"{whole_batch + told.queue:,} candidates",
            )
        )
    rows.append(
        (
            "speed",
            f"{_middle(told.seconds):.3f} s a batch, the median of {len(told.seconds)}, "
            f"{told.waited:.0%} of it waiting for data",
        )
    )
    rows.append(("time", _time(told)))
    title = f"Dry run of {told.task}: nothing is trained, nothing is kept."
    return "\n".join([title, *(f"  {name:<13}{value}" for name, value in rows)])


def gib(size: int | None) -> str:
    """Bytes in GiB."""
    return "not known" if size is None else f"{size / 2**30:9.3f} GiB"


def duration(seconds: float) -> str:
    """Seconds in the two units that matter."""
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    rest = round(seconds)
    said: list[str] = []
    for name, size in units:
        count, rest = divmod(rest, size)
        if count or said:
            said.append(f"{count} {name}")
    return " ".join(said[:2]) or "less than a second"


def _steps(told: Forecast) -> str:
    steps, epochs = told.lasts.steps, told.lasts.epochs
    if steps is None or epochs is None:
        return "without end: set trainer.max_steps or max_epochs"
    said = f"{steps:,} in all, {epochs:.4g} epochs"
    if told.accumulate > 1:
        said += f", {told.accumulate} batches a step"
    return said + (f"; a checkpoint brings {told.done:,} along" if told.done else "")


def _time(told: Forecast) -> str:
    if told.lasts.steps is None:
        return "without end"
    batches = max(told.lasts.steps - told.done, 0) * told.accumulate
    return (
        f"about {duration(batches * _middle(told.seconds))} on this machine; validation and talk "
        f"between ranks come on top"
    )


def _middle(values: tuple[float, ...]) -> float:
    return sorted(values)[len(values) // 2]
