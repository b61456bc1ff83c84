"""A training step's forward and backward pass recorded in a CUDA graph and replayed.

A step of a base model at batch 64 asks for some five thousand kernels; where the host takes 10 us
for each, it takes twice the time that the device needs. A graph is one launch. Everything that
`training_step` does must be the device's. The shapes of the batch choose the recording; what the
host makes of the step's count (`TaskModule.ramps`) is filled in, as the batch is.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from softmask.errors import InputError
from softmask.tasks.base import TaskModule

SEEN = 3
"""Steps of a kind that are taken plainly before one is recorded: libraries set themselves up."""
MOST = 16
"""Recordings kept, each with gradients of its own; further kinds of step are taken plainly."""
Batch = Mapping[str, Any]
Key = tuple[object, ...]


@dataclass
class Recording:
    """What a replay refills, and what the host does again after it."""

    batch: Mapping[str, Any]
    ramps: Mapping[int, Tensor]  # (), by the steps that each takes to rise
    loss: Tensor = field(init=False)
    grads: list[Tensor | None] = field(init=False)
    watched: list[Mapping[str, Tensor]] = field(default_factory=list)
    logged: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    left: dict[str, Any] = field(default_factory=dict)  # attributes that the step set
    asked: set[int] = field(default_factory=set)  # ramps that the step asked for

    def ramp(self, steps: int) -> Tensor:
        """What a replay fills with how far a ramp has risen, ()."""
        self.asked.add(steps)
        return self.ramps[steps]


class Graph(Protocol):
    """A recorded run of kernels."""

    def record(self, run: Callable[[], Recording]) -> Recording:
        """Record what a function asks of the device, which does nothing yet."""

    def replay(self) -> None:
        """Do it: what was recorded holds the results."""


class CudaGraph:
    """CUDA's. Threads that pin batches, and the autograd engine's, go on as they like."""

    def __init__(self) -> None:
        self.graph = torch.cuda.CUDAGraph()

    def record(self, run: Callable[[], Recording]) -> Recording:
        """Record; weights cast by autocast before are cast again, inside of it."""
        torch.clear_autocast_cache()
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            made = run()
        torch.clear_autocast_cache()
        return made

    def replay(self) -> None:
        """Launch."""
        self.graph.replay()


class Replay:
    """Takes the place of a task's `training_step` and `backward`.

    Args:
        task: whose step only asks for kernels, on one device, without loss scaling and without
            accumulated gradients.
        graph: makes recordings.
    """

    def __init__(self, task: TaskModule, graph: Callable[[], Graph] = CudaGraph) -> None:
        self.task, self.graph = task, graph
        self.plain_step, self.plain_backward = task.training_step, task.backward
        self.seen: Counter[Key] = Counter()
        self.recordings: dict[Key, tuple[Graph, Recording]] = {}
        self.now: Recording | None = None
        task.training_step = self.training_step  # type: ignore[method-assign]
        task.backward = self.backward  # type: ignore[method-assign]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """A step, replayed once enough of its kind were seen; its loss, ()."""
        key = self._key(batch)
        self.seen[key] += 1
        self.now = None
        if key not in self.recordings:
            if self.seen[key] <= SEEN or len(self.recordings) >= MOST:
                return self.plain_step(batch, batch_idx)
            self.recordings[key] = self._record(batch, batch_idx)
        graph, self.now = self.recordings[key]
        for name, value in _tensors(batch).items():
            self.now.batch[name].copy_(value)
        for steps, risen in self.now.ramps.items():
            risen.fill_(self.task.ramp(steps))
        graph.replay()
        self._after(self.now, batch)
        return self.now.loss

    def backward(self, loss: Tensor, *args: Any, **options: Any) -> None:
        """Hand out the gradients that a replay left; go backward after a plain step."""
        if self.now is None:
            self.plain_backward(loss, *args, **options)
            return
        for parameter, grad in zip(self.task.parameters(), self.now.grads, strict=True):
            parameter.grad = grad

    def _key(self, batch: Batch) -> Key:
        return tuple(
            (name, each.shape, each.dtype) for name, each in sorted(_tensors(batch).items())
        )

    def _record(self, batch: Batch, batch_idx: int) -> tuple[Graph, Recording]:
        copies = {name: value.clone() for name, value in _tensors(batch).items()}
        # Made before the recording: what is made within it is made anew by each replay.
        ramps = {n: torch.zeros((), device=self.task.device) for n in self.task.ramps()}
        graph = self.graph()
        self.task.zero_grad(set_to_none=True)
        return graph, graph.record(lambda: self._run({**batch, **copies}, ramps, batch_idx))

    def _run(self, batch: Batch, ramps: Mapping[int, Tensor], batch_idx: int) -> Recording:
        """Forward and backward; what the host would do is noted instead."""
        made = Recording(batch, ramps)
        with _noted(self.task, made):
            loss = self.plain_step(batch, batch_idx)
        if made.asked != made.ramps.keys():
            raise InputError(
                f"blocks.graphs fills in what {type(self.task).__name__}.ramp gives, but its step "
                f"does not ask for all of it, so numbers that it takes from the step's count would "
                f"stay as they were recorded: take alpha and hardness from ramp, or leave "
                f"blocks.graphs out."
            )
        with torch.autocast(loss.device.type, enabled=False):
            loss.backward()  # type: ignore[no-untyped-call]
        made.loss = loss.detach()
        made.grads = [parameter.grad for parameter in self.task.parameters()]
        return made

    def _after(self, made: Recording, batch: Batch) -> None:
        """What the host does in a plain step."""
        task = self.task
        vars(task).update(made.left)
        task._keys = tuple(batch["key"])
        for losses in made.watched:
            task.guard.watch(losses, task.global_step, task._keys)
        for method, args, options in made.logged:
            getattr(task, method)(*args, **options)


@contextmanager
def _noted(task: TaskModule, made: Recording) -> Iterator[None]:
    """Let a task's log and guard only note what they are told, and note the attributes it sets.

    Ramps are the recording's.
    """

    def note(method: str) -> Callable[..., None]:
        return lambda *args, **options: made.logged.append((method, args, options))

    before = dict(vars(task))
    hooks = {"log": note("log"), "log_dict": note("log_dict"), "ramp": made.ramp}
    vars(task).update(hooks)
    vars(task.guard)["watch"] = lambda losses, *_: made.watched.append(losses)
    try:
        yield
    finally:
        del vars(task.guard)["watch"]
        for name in hooks:
            del vars(task)[name]
    made.left = {n: value for n, value in vars(task).items() if value is not before.get(n)}


def _tensors(batch: Batch) -> dict[str, Tensor]:
    return {name: value for name, value in batch.items() if isinstance(value, Tensor)}
