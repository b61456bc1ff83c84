"""Several sources mixed by weight: each an endless stream of passes, woven into one epoch.

N_i samples of source i and its weight w_i give n_i = round(w_i * N_i) places of each epoch, and one
at least. Epoch e takes the places e * n_i .. (e + 1) * n_i - 1 of the stream, and each pass of N_i
places holds each sample once: at weight 1/2 two epochs cover the source, at weight 2 an epoch holds
it twice. Every stretch of an epoch holds the sources in their shares, to within a sample or so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_modules.order import Counts, Positions, TrainPlan, epoch_positions
from data_modules.seeds import hash63
from softmask.errors import InputError


@dataclass(frozen=True)
class Source:
    """One of several training sets.

    Args:
        path: as data.init_args.train takes it.
        weight: passes over it in an epoch, on average; below 1, each epoch takes another part.
    """

    path: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse weights that cannot work."""
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise InputError(
                f"The weight of the source {self.path!r} is {self.weight}: give a number above 0, "
                f"or leave the source out of data.init_args.train."
            )


class MixedPlan(TrainPlan):
    """The order of a mixture; like one source's, the same for any topology.

    Args:
        sources: samples of each shard, source by source.
        weights: passes over each source in an epoch.
        batch_size: samples a rank and step.
        rank: of this process.
        world: number of ranks.
        seed: of the order.
        window: places of one source's pass that are shuffled together.

    Raises:
        InputError: if an epoch does not fill one step.
    """

    def __init__(
        self,
        sources: Sequence[Counts],
        weights: Sequence[float],
        batch_size: int,
        *,
        rank: int,
        world: int,
        seed: int,
        window: int,
    ) -> None:
        self.sources = tuple(sources)
        self.sizes = tuple(sum(counts) for counts in sources)
        self.takes = tuple(
            max(1, math.floor(weight * size + 0.5))
            for weight, size in zip(weights, self.sizes, strict=True)
        )
        counts = tuple(count for source in sources for count in source)
        super().__init__(counts, batch_size, rank=rank, world=world, seed=seed, window=window)

    @property
    def length(self) -> int:
        """Places of an epoch."""
        return sum(self.takes)

    def positions(self, epoch: int, start: int, stop: int) -> Positions:
        """Give the samples at places of an epoch.

        Returns:
            Positions, counted over all sources; one that comes a second time in the epoch has the
            number of all samples added, and so on. (stop - start,) int64
        """
        labels, ranks = weave(np.arange(start, stop, dtype=np.int64), self.takes)
        found = np.empty(stop - start, dtype=np.int64)
        for source, (size, take) in enumerate(zip(self.sizes, self.takes, strict=True)):
            own = labels == source
            places = epoch * take + ranks[own]
            turns = places // size - epoch * take // size
            found[own] = self._stream(source, places) + turns * sum(self.sizes)
        return found

    def _stream(self, source: int, places: Positions) -> Positions:
        """Give the samples at rising places of a source's endless stream."""
        size = self.sizes[source]
        # The first source keeps the order that it has alone.
        seed = hash63(f"{self.seed}/source/{source}") if source else self.seed
        found = np.empty_like(places)
        for number in np.unique(places // size):
            inside = places // size == number
            wanted = places[inside] - number * size
            first, last = int(wanted[0]), int(wanted[-1])
            part = epoch_positions(
                self.sources[source], seed, int(number), self.window, first, last + 1
            )
            found[inside] = part[wanted - first]
        return found + sum(self.sizes[:source])


def weave(places: Positions, takes: Sequence[int]) -> tuple[NDArray[np.int64], Positions]:
    """Spread the sources evenly over an epoch.

    Args:
        places: of the epoch, from 0.
        takes: places of each source; their sum is the epoch's length.

    Returns:
        Of each place its source, and how many places of that source come before it.
    """
    labels = np.full_like(places, len(takes) - 1)
    ranks = places.copy()
    rest, total = np.ones(len(places), dtype=bool), sum(takes)
    for source, take in enumerate(takes[:-1]):
        # Of the first p places left to share, floor(p * take / total) are this source's.
        before, after = ranks * take // total, (ranks + 1) * take // total
        own = rest & (after > before)
        labels[own] = source
        ranks = np.where(own, before, np.where(rest, ranks - before, ranks))
        rest &= ~own
        total -= take
    return labels, ranks
