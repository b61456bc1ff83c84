"""From a position to an item: what happens when its sample is bad.

Training puts another sample in its place, so that batches keep their size on every rank.
Evaluation refuses: figures of a part of a test set compare with nothing.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any, NamedTuple

from data_modules.contents import source
from data_modules.reasons import BadSample
from data_modules.seeds import hash63
from data_modules.shards import Sample, ShardSet
from softmask.drops import Drop
from softmask.errors import InputError

Item = Callable[[Sample, int], Any]
"""A sample and the epoch to an item, all but its long work done; may raise BadSample."""
Finish = Callable[[Any], Any]
"""An item to what a batch is stacked from; may raise BadSample. A batch begins all its items before
it finishes the first: code and tables of the short work stay in the processor's caches then."""

TRIES = 16
NEAR = 8  # tries that stay in the sample's shard: it is open, and may be the only one here


class Fetched(NamedTuple):
    """An item, and the bad sample that it stands for."""

    item: Any
    drop: Drop | None = None


def as_is(item: Any) -> Any:  # noqa: ANN401 (one type in, the same out)
    """Finish an item that has no long work."""
    return item


class Replacing:
    """Reads training samples.

    Args:
        shards: the samples.
        item: begins what a batch is stacked from.
        seed: of the run.
        finish: ends it.
    """

    def __init__(self, shards: ShardSet, item: Item, seed: int, finish: Finish = as_is) -> None:
        self.shards, self.item, self.seed, self.finish = shards, item, seed, finish
        self._ends = list(accumulate(shards.counts))

    def __call__(self, positions: Iterable[int], epoch: int, step: int) -> list[Fetched]:
        """Give the items of positions, or others' by a rule that knows no rank and no worker.

        Raises:
            InputError: if no good sample is found, or a shard is gone.
        """
        running = [self._fetch(position, epoch, step) for position in positions]
        for each in running:
            next(each)
        return [fetched for each in running if (fetched := next(each))]

    def _fetch(self, position: int, epoch: int, step: int) -> Iterator[Fetched | None]:
        """Give None when an item is begun for the first time, then what came of it."""
        drop, begun = None, False
        for attempt in range(TRIES):
            sample = self.shards.read(self.substitute(position, epoch, attempt))
            try:
                item = self.item(sample, epoch)
                if not begun:
                    begun = True
                    yield None
                yield Fetched(self.finish(item), drop)
                return
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
        item: begins what a batch is stacked from.
        finish: ends it.
    """

    def __init__(self, shards: ShardSet, item: Item, finish: Finish = as_is) -> None:
        self.shards, self.item, self.finish = shards, item, finish

    def __call__(self, positions: Iterable[int], epoch: int, step: int) -> list[Fetched]:  # noqa: ARG002 (as above)
        """Give the items of positions.

        Raises:
            InputError: if a sample is bad, or its shard is gone.
        """
        return [self._fetch(position, epoch) for position in positions]

    def _fetch(self, position: int, epoch: int) -> Fetched:
        sample = self.shards.read(position)
        try:
            return Fetched(self.finish(self.item(sample, epoch)))
        except BadSample as bad:
            raise InputError(
                f"The {source(sample)} {bad.detail} ({bad.reason}), and evaluation leaves nothing "
                "out: mend or remove it; `softmask data check` lists all of them."
            ) from bad


def _drop(sample: Sample, bad: BadSample, epoch: int, step: int) -> Drop:
    place = epoch, step, sample.position, sample.shard, sample.key
    return Drop(*place, bad.reason.value, bad.detail)
