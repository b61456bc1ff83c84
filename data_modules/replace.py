"""From a position to an item: what happens when its sample is bad.

Training puts another sample in its place, so that batches keep their size on every rank.
Evaluation refuses: figures of a part of a test set compare with nothing.
"""

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple

from data_modules.contents import source
from data_modules.reasons import BadSample
from data_modules.seeds import hash63
from data_modules.shards import Sample, ShardSet
from softmask.drops import Drop
from softmask.errors import InputError

Item = Callable[[Sample, int], Any]
"""A sample and the epoch to what a batch is stacked from; may raise BadSample."""

TRIES = 16
NEAR = 8  # tries that stay in the sample's shard: it is open, and may be the only one here


class Fetched(NamedTuple):
    """An item, and the bad sample that it stands for."""

    item: Any
    drop: Drop | None = None


class Replacing:
    """Reads training samples.

    Args:
        shards: the samples.
        item: makes what a batch is stacked from.
        seed: of the run.
    """

    def __init__(self, shards: ShardSet, item: Item, seed: int) -> None:
        self.shards, self.item, self.seed = shards, item, seed
        self._ends = list(accumulate(shards.counts))

    def __call__(self, position: int, epoch: int, step: int) -> Fetched:
        """Give a position's item, or another one's by a rule that knows no rank and no worker.

        Raises:
            InputError: if no good sample is found, or a shard is gone.
        """
        drop = None
        for attempt in range(TRIES):
            sample = self.shards.read(self.substitute(position, epoch, attempt))
            try:
                return Fetched(self.item(sample, epoch), drop)
            except BadSample as bad:
                # A bad substitute is counted at its own turn.
                drop = drop or _drop(sample, bad, epoch, step)
        assert drop is not None
        raise InputError(
            f"{TRIES} samples in a row are bad, the first is {drop.key!r} of {drop.shard} "
            f"({drop.reason}): run `softmask data check` on the data and mend it."
        )

    def substitute(self, position: int, epoch: int, attempt: int) -> int:
        """Give the position to try; attempt 0 is the position itself."""
        if attempt == 0:
            return position
        draw = hash63(f"{self.seed}/{epoch}/{position}/{attempt}")
        total = self._ends[-1]
        if attempt > NEAR:
            return draw % total
        turn, stored = divmod(position, total)  # a mixture's position counts earlier turns
        number = bisect_right(self._ends, stored)
        count = self.shards.counts[number]
        return turn * total + self._ends[number] - count + draw % count


class Refusing:
    """Reads evaluation samples.

    Args:
        shards: the samples.
        item: makes what a batch is stacked from.
    """

    def __init__(self, shards: ShardSet, item: Item) -> None:
        self.shards, self.item = shards, item

    def __call__(self, position: int, epoch: int, step: int) -> Fetched:  # noqa: ARG002 (as above)
        """Give a position's item.

        Raises:
            InputError: if its sample is bad, or its shard is gone.
        """
        sample = self.shards.read(position)
        try:
            return Fetched(self.item(sample, epoch))
        except BadSample as bad:
            raise InputError(
                f"The {source(sample)} {bad.detail} ({bad.reason}), and evaluation leaves nothing "
                "out: mend or remove it; `softmask data check` lists all of them."
            ) from bad


def _drop(sample: Sample, bad: BadSample, epoch: int, step: int) -> Drop:
    place = epoch, step, sample.position, sample.shard, sample.key
    return Drop(*place, bad.reason.value, bad.detail)
