"""Which sample comes when: functions of the seed and the place, with no state to save.

N samples, W ranks, B samples a rank and batch, GB = W * B. An epoch permutes the shards, then the
samples within consecutive windows of that sequence, so that reading stays near a few shards.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from softmask.errors import InputError

Positions = NDArray[np.int64]
Counts = tuple[int, ...]
"""Samples of each shard, in storage order."""


def steps_per_epoch(count: int, batch_size: int, world: int) -> int:
    """Count the whole global batches of an epoch; the rest of the samples waits for another epoch.

    Args:
        count: samples of an epoch.
        batch_size: samples a rank and step.
        world: number of ranks.

    Raises:
        InputError: if the samples do not fill one global batch.
    """
    global_batch = batch_size * world
    if count < global_batch:
        raise InputError(
            f"The training set holds {count} samples but one step takes {global_batch} (batch_size "
            f"{batch_size} times {world} devices): {_fewer(count, batch_size, world)}."
        )
    return count // global_batch


def _fewer(count: int, batch_size: int, world: int) -> str:
    """What would let so few samples fill a step."""
    if count >= world:
        return f"lower data.init_args.batch_size so that the product is at most {count}"
    devices = "devices at most (trainer.devices times trainer.num_nodes)"
    if count >= batch_size:
        return f"train on {count // batch_size} {devices}"
    return f"train on {count} {devices} with data.init_args.batch_size 1"


def epoch_positions(
    counts: Counts, seed: int, epoch: int, window: int, start: int, stop: int
) -> Positions:
    """Give the samples at places start..stop of an epoch.

    Args:
        counts: samples of each shard, in storage order.
        seed: of the run.
        epoch: counted from 0.
        window: places that are shuffled together; 1 keeps the order within shards.
        start: first place, from 0.
        stop: one past the last place, at most sum(counts).

    Returns:
        Positions in storage order, (stop - start,) int64; start=0, stop=sum(counts) gives each
        position once.
    """
    places = np.arange(start, stop, dtype=np.int64)
    number = places // window
    total = sum(counts)
    shuffled = places.copy()
    for index in range(int(number[0]), int(number[-1]) + 1) if len(places) else ():
        inside = number == index
        length = min(window, total - index * window)
        permutation = _window_permutation(seed, epoch, index, length)
        shuffled[inside] = index * window + permutation[places[inside] - index * window]
    ends, shift = _shard_sequence(counts, seed, epoch)
    return shuffled + shift[np.searchsorted(ends, shuffled, side="right")]


def batch_places(step: int, batch_size: int, rank: int, world: int) -> tuple[int, int]:
    """Give the first place and one past the last of a rank's part of global batch `step`."""
    start = (step * world + rank) * batch_size
    return start, start + batch_size


def fitting_devices(global_batch: int, devices: int) -> str:
    """Say how a global batch is had with this many devices, or with how many it can be.

    Args:
        global_batch: wanted samples of a step on all devices.
        devices: there are.

    Returns:
        What to set, in words.
    """
    fitting = [n for n in range(1, global_batch + 1) if global_batch % n == 0]
    if devices in fitting:
        return f"set data.init_args.batch_size to {global_batch // devices}"
    below = max(n for n in fitting if n < devices)
    nearest = [below, *[n for n in fitting if n > devices][:1]]
    choices = " or ".join(
        f"trainer.devices={n} with data.init_args.batch_size={global_batch // n}" for n in nearest
    )
    return (
        f"{devices} devices cannot share {global_batch} samples evenly, the nearest that can are "
        f"{' and '.join(map(str, nearest))}; set {choices}"
    )


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
        counts: Counts,
        batch_size: int,
        *,
        rank: int,
        world: int,
        seed: int,
        window: int,
    ) -> None:
        self.counts, self.batch_size, self.rank, self.world = counts, batch_size, rank, world
        self.seed, self.window = seed, window
        self.steps = steps_per_epoch(self.length, batch_size, world)

    @property
    def length(self) -> int:
        """Places of an epoch."""
        return sum(self.counts)

    def __call__(self, epoch: int, step: int) -> Positions:
        """Give the samples of this rank's part of a step, (B,)."""
        return self.positions(epoch, *batch_places(step, self.batch_size, self.rank, self.world))

    def positions(self, epoch: int, start: int, stop: int) -> Positions:
        """Give the samples at places of an epoch, (stop - start,)."""
        return epoch_positions(self.counts, self.seed, epoch, self.window, start, stop)


class EvaluationPlan:
    """A rank's batches of one pass in storage order.

    Rank r owns positions r, r + W, ... Ranks with one fewer repeat their first position, so all
    ranks take ceil(ceil(N / W) / B) steps of the same sizes; metrics count each position once.

    Args:
        count: samples to evaluate.
        batch_size: samples a rank and step; the last step may have fewer.
        rank: of this process.
        world: number of ranks.
    """

    def __init__(self, count: int, batch_size: int, *, rank: int, world: int) -> None:
        self.batch_size = batch_size
        share = -(-count // world)
        own = np.arange(rank, count, world, dtype=np.int64)
        first = own[0] if len(own) else rank % count
        self._positions = np.append(own, np.full(share - len(own), first, dtype=np.int64))
        self.steps = -(-share // batch_size)

    def __call__(self, epoch: int, step: int) -> Positions:  # noqa: ARG002 (all passes are equal)
        """Give the samples of a step, (B,)."""
        return self._positions[step * self.batch_size : (step + 1) * self.batch_size]


# A mixture works in one window of each source, at times in two.
@lru_cache(maxsize=8)
def _window_permutation(seed: int, epoch: int, index: int, length: int) -> Positions:
    # Three numbers before, four here: the streams of shards and windows never meet.
    return np.random.default_rng([seed, epoch, 1, index]).permutation(length).astype(np.int64)


@lru_cache(maxsize=8)
def _shard_sequence(counts: Counts, seed: int, epoch: int) -> tuple[Positions, Positions]:
    sizes = np.asarray(counts, dtype=np.int64)
    order = np.random.default_rng([seed, epoch, 0]).permutation(len(sizes))
    ends = np.cumsum(sizes[order])
    starts = np.cumsum(sizes) - sizes
    shift = starts[order] - (ends - sizes[order])
    return ends, shift
