"""The loaders that Lightning is handed: whole batches, made in worker processes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from data_modules.order import Positions, batch_places, epoch_positions, steps_per_epoch
from data_modules.shards import Sample, ShardSet
from softmask.errors import InputError

Make = Callable[[Sequence[Sample], int], Mapping[str, Any]]
"""Samples and the epoch to a batch."""

PREFETCH = 4  # batches each worker keeps ready
Place = tuple[int, int]  # epoch and step


class TrainPlan:
    """Which samples a rank takes at each step; the global batch is the same for any topology.

    Args:
        counts: samples of each shard.
        batch_size: samples a rank and step.
        rank: of this process.
        world: number of ranks.
        seed: of the order.
        window: places shuffled together.

    Raises:
        InputError: if the samples do not fill one step.
    """

    def __init__(
        self,
        counts: tuple[int, ...],
        batch_size: int,
        *,
        rank: int,
        world: int,
        seed: int,
        window: int,
    ) -> None:
        """Count the steps."""
        self.counts, self.batch_size, self.rank, self.world = counts, batch_size, rank, world
        self.seed, self.window = seed, window
        self.steps = steps_per_epoch(sum(counts), batch_size * world)

    def __call__(self, epoch: int, step: int) -> Positions:
        """Give the samples of this rank's part of a step, (B,)."""
        start, stop = batch_places(step, self.batch_size, self.rank, self.world)
        return epoch_positions(self.counts, self.seed, epoch, self.window, start, stop)


class Batches(Dataset[Mapping[str, Any]]):
    """Batches by (epoch, step), read and made where they are asked for.

    Args:
        shards: the samples.
        plan: (epoch, step) to positions.
        make: samples to a batch.
    """

    def __init__(self, shards: ShardSet, plan: Callable[[int, int], Positions], make: Make) -> None:
        """Keep the parts."""
        self.shards, self.plan, self.make = shards, plan, make

    def __getitem__(self, place: Place) -> Mapping[str, Any]:
        """Make one batch."""
        epoch, step = place
        samples = [self.shards.read(int(position)) for position in self.plan(epoch, step)]
        return self.make(samples, epoch)


class PairLoader:
    """The training loader: knows where it is, and continues there.

    One pass gives the rest of an epoch. The place counts batches handed out, not those that workers
    have ready, so a checkpoint of a running loader is exact.

    Args:
        shards: the training samples.
        plan: the order.
        make: samples to a batch.
        workers: processes that make batches; 0 makes them here.
        stop: steps of a pass when less than the plan's, as Trainer(limit_train_batches) wants.
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
        """Start at the first batch of epoch 0."""
        self.plan = plan
        self._stop = plan.steps if stop is None else min(stop, plan.steps)
        self._same_epoch = same_epoch
        self._epoch, self._step = 0, 0
        self._loader = _data_loader(Batches(shards, plan, make), _Ahead(self.ahead), workers)

    def __len__(self) -> int:
        """Count the steps of a whole epoch, also when the next pass begins in the middle."""
        return self.plan.steps

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Give the rest of the epoch."""
        return self._hand_out(iter(self._loader))

    def ahead(self) -> Iterator[Place]:
        """Name the batches from here to the end of the epoch."""
        epoch = 0 if self._same_epoch else self._epoch
        return zip(repeat(epoch), range(self._step, self._stop))

    def _hand_out(self, batches: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for batch in batches:
            self._step += 1
            if self._step == self._stop:
                # Before the last batch leaves: Lightning never comes back for an end.
                self._epoch, self._step = self._epoch + 1, 0
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Give the place of the next batch, and what gives places a meaning."""
        return {
            "epoch": self._epoch,
            "step": self._step,
            "seed": self.plan.seed,
            "global_batch": self.plan.batch_size * self.plan.world,
        }

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go to a saved place.

        Raises:
            InputError: if the seed or the global batch is another than the saved one.
        """
        own = self.state_dict()
        for name, advice in (("seed", "data.seed"), ("global_batch", "data.batch_size * devices")):
            if state[name] != own[name]:
                raise InputError(
                    f"The checkpoint was saved with {name} {state[name]} but this run has "
                    f"{own[name]}: set {advice} to {state[name]}, or start anew from its weights."
                )
        self._epoch, self._step = state["epoch"], state["step"]


class EvaluationLoader:
    """A loader of the same batches on every pass; it keeps no place.

    Args:
        shards: the samples.
        batches: positions of each batch, of one size but the last.
        make: samples to a batch.
        workers: processes that make batches; 0 makes them here.
    """

    def __init__(
        self, shards: ShardSet, batches: Sequence[Positions], make: Make, *, workers: int
    ) -> None:
        """Keep the batches."""
        self._batches = batches
        places = list(zip(repeat(0), range(len(batches))))
        plan = _Listed(batches)
        self._loader = _data_loader(Batches(shards, plan, make), places, workers)

    def __len__(self) -> int:
        """Count the batches."""
        return len(self._batches)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Give all batches."""
        return iter(self._loader)


class _Listed:
    """A plan that was written down; a class, for lambdas do not pickle."""

    def __init__(self, batches: Sequence[Positions]) -> None:
        self.batches = batches

    def __call__(self, epoch: int, step: int) -> Positions:  # noqa: ARG002 (every pass is the same)
        return self.batches[step]


class _Ahead:
    """An iterable that asks anew on each pass: persistent workers see where the loader is."""

    def __init__(self, ahead: Callable[[], Iterator[Place]]) -> None:
        self._ahead = ahead

    def __iter__(self) -> Iterator[Place]:
        return self._ahead()


def _data_loader(
    batches: Batches, places: _Ahead | Sequence[Place], workers: int
) -> DataLoader[Mapping[str, Any]]:
    return DataLoader(
        batches,
        batch_size=None,
        sampler=places,
        collate_fn=_as_is,
        num_workers=workers,
        prefetch_factor=PREFETCH if workers else None,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_one_thread,
        # Its own generator: a pass must not move the random numbers that dropout draws.
        generator=torch.Generator(),
    )


def _as_is(batch: Any) -> Any:  # noqa: ANN401 (one type in, the same out)
    return batch


def _one_thread(worker: int) -> None:  # noqa: ARG001 (the interface wants it)
    cv2.setNumThreads(0)
