"""The loaders that Lightning is handed: whole batches, made in worker processes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from data_modules.order import EvaluationPlan, Positions, TrainPlan
from data_modules.shards import Sample, ShardSet
from softmask.errors import InputError

Batch = Mapping[str, Any]
Make = Callable[[Sequence[Sample], int], Batch]
"""Samples and the epoch to a batch."""
Plan = Callable[[int, int], Positions]
"""Epoch and step to the positions of a batch."""
Place = tuple[int, int]
"""Epoch and step."""

PREFETCH = 4  # batches each worker keeps ready


class Batches(Dataset[Batch | InputError]):
    """Batches by (epoch, step), read and made where they are asked for.

    A user's mistake comes as a value: raised in a worker, its message would drown in a traceback.

    Args:
        shards: the samples.
        plan: (epoch, step) to positions.
        make: samples to a batch.
    """

    def __init__(self, shards: ShardSet, plan: Plan, make: Make) -> None:
        self.shards, self.plan, self.make = shards, plan, make

    def __getitem__(self, place: Place) -> Batch | InputError:
        """Make one batch."""
        epoch, step = place
        try:
            samples = [self.shards.read(int(position)) for position in self.plan(epoch, step)]
            return self.make(samples, epoch)
        except InputError as error:
            return error


class BatchLoader:
    """What both loaders share: the worker processes, kept from pass to pass.

    Args:
        batches: by place.
        places: asked anew on each pass.
        workers: processes that make batches; 0 makes them here.
    """

    def __init__(self, batches: Batches, places: Iterable[Place], workers: int) -> None:
        self._batches, self._places, self._workers = batches, places, workers
        self._loader: DataLoader[Batch | InputError] | None = None

    def close(self) -> None:
        """End the workers; a later pass starts new ones."""
        self._loader = None

    def _start(self) -> Iterator[Batch]:
        if self._loader is None:
            self._loader = DataLoader(
                self._batches,
                batch_size=None,
                sampler=self._places,
                collate_fn=_as_is,
                num_workers=self._workers,
                prefetch_factor=PREFETCH if self._workers else None,
                persistent_workers=self._workers > 0,
                pin_memory=torch.cuda.is_available(),
                worker_init_fn=_one_thread,
                # Its own generator: a pass must not move the random numbers that dropout draws.
                generator=torch.Generator(),
            )
        return _raise_errors(iter(self._loader))


class PairLoader(BatchLoader):
    """The training loader: knows where it is, and continues there.

    One pass gives the rest of an epoch. The place counts batches handed out, not those that workers
    have ready, so a checkpoint of a running loader is exact.

    Args:
        shards: the training samples.
        plan: the order.
        make: samples to a batch.
        workers: processes that make batches; 0 makes them here.
        stop: steps of an epoch when less than the plan's, as Trainer(limit_train_batches) wants.
        same_epoch: give epoch 0 again and again, as Trainer(overfit_batches) wants.
    """

    def __init__(
        self,
        shards: ShardSet,
        plan: TrainPlan,
        make: Make,
        *,
        workers: int,
        stop: int | None = None,
        same_epoch: bool = False,
    ) -> None:
        self.plan = plan
        self._cursor = Cursor(plan.steps if stop is None else min(stop, plan.steps), same_epoch)
        super().__init__(Batches(shards, plan, make), self._cursor, workers)

    def __len__(self) -> int:
        """Count the steps of a whole epoch, also when the next pass begins in the middle."""
        return self.plan.steps

    def __iter__(self) -> Iterator[Batch]:
        """Give the rest of the epoch."""
        return self._hand_out(self._start())

    def _hand_out(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            # Before the batch leaves: Lightning never comes back after the last one.
            self._cursor.advance()
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Give the place of the next batch, and what gives places a meaning."""
        return {
            "epoch": self._cursor.epoch,
            "step": self._cursor.step,
            "seed": self.plan.seed,
            "global_batch": self.plan.batch_size * self.plan.world,
        }

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go to a saved place.

        Raises:
            InputError: if the seed or the global batch is another than the saved one.
        """
        own = self.state_dict()
        for name, advice in (
            ("seed", "data.init_args.seed"),
            ("global_batch", "data.init_args.batch_size * devices"),
        ):
            if state[name] != own[name]:
                raise InputError(
                    f"The checkpoint was saved with {name} {state[name]} but this run has "
                    f"{own[name]}: set {advice} to {state[name]}, or start anew from its weights."
                )
        self._cursor.epoch, self._cursor.step = state["epoch"], state["step"]


class EvaluationLoader(BatchLoader):
    """A loader of the same batches on every pass; it keeps no place.

    Args:
        shards: the samples.
        plan: the order.
        make: samples to a batch.
        workers: processes that make batches; 0 makes them here.
    """

    def __init__(self, shards: ShardSet, plan: EvaluationPlan, make: Make, *, workers: int) -> None:
        self.plan = plan
        places = [(0, step) for step in range(plan.steps)]
        super().__init__(Batches(shards, plan, make), places, workers)

    def __len__(self) -> int:
        """Count the batches."""
        return self.plan.steps

    def __iter__(self) -> Iterator[Batch]:
        """Give all batches."""
        return self._start()


@dataclass
class Cursor:
    """Where training is; iterating names the places from here to the end of the epoch.

    An object of its own: a loader that held itself would keep its workers until the collector
    comes, and they end badly then.

    Args:
        stop: steps of an epoch.
        same_epoch: name epoch 0 whatever the epoch.
        epoch: of the next batch.
        step: of the next batch in its epoch.
    """

    stop: int
    same_epoch: bool = False
    epoch: int = 0
    step: int = 0

    def __iter__(self) -> Iterator[Place]:
        """Name the places that are left; fixed now, whatever is handed out meanwhile."""
        return zip(repeat(0 if self.same_epoch else self.epoch), range(self.step, self.stop))

    def advance(self) -> None:
        """Count a batch; after an epoch's last comes the next epoch's first."""
        self.step += 1
        if self.step >= self.stop:
            self.epoch, self.step = self.epoch + 1, 0


def _raise_errors(batches: Iterator[Batch | InputError]) -> Iterator[Batch]:
    for batch in batches:
        if isinstance(batch, InputError):
            # A new one: a frame that raises its own variable holds itself, and the workers with it.
            raise InputError(str(batch)) from batch
        yield batch


def _as_is(batch: Any) -> Any:  # noqa: ANN401 (one type in, the same out)
    return batch


def _one_thread(worker: int) -> None:  # noqa: ARG001 (the interface wants it)
    cv2.setNumThreads(0)
