"""Where training is in its data."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

from data_modules.batches import Place


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

    def go_to(self, epoch: int, step: int) -> None:
        """Go to a place; where epochs are shorter now, one that has its steps already is over."""
        self.epoch, self.step = (epoch, step) if step < self.stop else (epoch + 1, 0)

    def advance(self) -> None:
        """Count a batch; after an epoch's last comes the next epoch's first."""
        self.step += 1
        if self.step >= self.stop:
            self.epoch, self.step = self.epoch + 1, 0
