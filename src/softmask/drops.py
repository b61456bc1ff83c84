"""What the data leaves out: each bad sample named, and how many of what kind.

Data modules fill a tally as training takes its batches; callbacks read it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from softmask.errors import InputError

FEWEST = 1000
"""Samples before a share means anything, unless a whole epoch is shorter."""
READ = "read"
"""Beside the reasons in a tally's state: samples read, bad ones included."""


class Drop(NamedTuple):
    """A sample that gave its place to another one."""

    epoch: int
    step: int
    position: int  # in storage order
    shard: str
    key: str
    reason: str
    detail: str


class Tally:
    """Counts samples and drops.

    Args:
        max_rate: share of dropped samples at which the run stops; 1 never stops it.
    """

    def __init__(self, max_rate: float = 1.0) -> None:
        self.max_rate = max_rate
        self.read = 0
        self.counts: Counter[str] = Counter()
        self.start = (0, 0)  # epoch and step at which this run began or was resumed
        self._fresh: list[Drop] = []

    def add(self, read: int, drops: Sequence[Drop]) -> None:
        """Count a batch that training takes."""
        self.read += read
        self.counts.update(drop.reason for drop in drops)
        self._fresh += drops

    def take(self) -> list[Drop]:
        """Give the drops since the last time."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def check(self, whole_epoch: bool) -> None:
        """Stop a run that loses too much.

        Args:
            whole_epoch: a share of fewer samples than usual says enough.

        Raises:
            InputError: if more than `max_rate` of the samples were dropped.
        """
        dropped = self.counts.total()
        if (self.read < FEWEST and not whole_epoch) or dropped <= self.max_rate * self.read:
            return
        raise InputError(
            f"{dropped} of {self.read} training samples were dropped, more than "
            f"data.init_args.max_drop_rate {self.max_rate:g} allows: {self._table()}. "
            "dropped.jsonl in the run's folder names each, `softmask data check` finds all: mend "
            "the data, or raise max_drop_rate."
        )

    def state_dict(self) -> dict[str, int]:
        """Give the counts by reason, and the samples read."""
        return {READ: self.read, **dict(sorted(self.counts.items()))}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from saved counts."""
        self.read = state[READ]
        self.counts = Counter({name: count for name, count in state.items() if name != READ})

    def _table(self) -> str:
        rows = self.counts.most_common()
        return " | ".join(f"{name} {count} ({count / self.read:.2%})" for name, count in rows)


@runtime_checkable
class CountsDrops(Protocol):
    """Data of which one can ask what training had to leave out."""

    tally: Tally

    def dropped(self) -> dict[str, int]:
        """Counts of all ranks by reason, and the samples read; all ranks must ask."""
