"""From a position to an item: what happens when its sample is bad.

Training puts another sample in its place, so that batches keep their size on every rank.
Evaluation refuses: figures of a part of a test set compare with nothing.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from data_modules.contents import source
from data_modules.reasons import BadSample
from data_modules.seeds import hash63
from data_modules.shards import Sample, ShardSet
from softmask.drops import Drop
from softmask.errors import InputError

Step = Callable[[Any, int], Any]
"""A sample, or what the step before made of it, and the epoch to the next form; may raise
BadSample."""
Steps = Sequence[Step]
"""A sample to what a batch is stacked from. A batch goes through one step after the other: code and
tables of one stay in the processor's caches, those of all do not."""

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
        steps: to what a batch is stacked from.
        seed: of the run.
    """

    def __init__(self, shards: ShardSet, steps: Steps, seed: int) -> None:
        self.shards, self.steps, self.seed = shards, steps, seed
        self._ends = list(accumulate(shards.counts))

    def __call__(self, positions: Sequence[int], epoch: int, step: int) -> list[Fetched]:
        """Give the items of positions, or others' by a rule that knows no rank and no worker.

        Raises:
            InputError: if no good sample is found, or a shard is gone.
        """
        items: list[Any] = [self.shards.read(position) for position in positions]
        drops: dict[int, Drop] = {}
        for done, take in enumerate(self.steps, start=1):
            for row, item in enumerate(items):
                try:
                    items[row] = take(item, epoch)
                except BadSample as bad:
                    position = positions[row]
                    if row not in drops:  # a bad substitute is counted at its own turn
                        drops[row] = _drop(self.shards.read(position), bad, epoch, step)
                    items[row] = self._another(position, self.steps[:done], epoch, drops[row])
        return [Fetched(item, drops.get(row)) for row, item in enumerate(items)]

    def _another(self, position: int, steps: Steps, epoch: int, drop: Drop) -> Any:  # noqa: ANN401 (as the steps)
        """Take a substitute through `steps`: the first that is good so far."""
        for attempt in range(1, TRIES):
            item: Any = self.shards.read(self.substitute(position, epoch, attempt))
            try:
                for take in steps:
                    item = take(item, epoch)
            except BadSample:
                continue
            return item
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
        steps: to what a batch is stacked from.
    """

    def __init__(self, shards: ShardSet, steps: Steps) -> None:
        self.shards, self.steps = shards, steps

    def __call__(self, positions: Sequence[int], epoch: int, step: int) -> list[Fetched]:  # noqa: ARG002 (as above)
        """Give the items of positions.

        Raises:
            InputError: if a sample is bad, or its shard is gone.
        """
        return [self._fetch(position, epoch) for position in positions]

    def _fetch(self, position: int, epoch: int) -> Fetched:
        item: Any = (sample := self.shards.read(position))
        try:
            for take in self.steps:
                item = take(item, epoch)
        except BadSample as bad:
            raise InputError(
                f"The {source(sample)} {bad.detail} ({bad.reason}), and evaluation leaves nothing "
                "out: mend or remove it; `softmask data check` lists all of them."
            ) from bad
        return Fetched(item)


def _drop(sample: Sample, bad: BadSample, epoch: int, step: int) -> Drop:
    place = epoch, step, sample.position, sample.shard, sample.key
    return Drop(*place, bad.reason.value, bad.detail)
