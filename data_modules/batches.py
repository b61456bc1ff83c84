"""Batches by their place in training, made where they are asked for."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch.utils.data import Dataset

from data_modules.order import Positions
from data_modules.replace import Fetched, Steps
from data_modules.shards import Sample
from softmask.drops import Drop
from softmask.errors import InputError

Batch = Mapping[str, Any]
Make = Callable[[Sequence[Any], int], Batch]
"""Items and the epoch to a batch; an item is a sample unless the loader is given a maker."""
Plan = Callable[[int, int], Positions]
"""Epoch and step to the positions of a batch."""
Place = tuple[int, int]
"""Epoch and step."""
Fetch = Callable[[Sequence[int], int, int], list[Fetched]]
"""Positions, epoch and step to items."""


class Made(NamedTuple):
    """A batch, and the bad samples that it does not hold."""

    batch: Batch
    drops: list[Drop]


class Maker(ABC):
    """Samples to batches in steps, so that a bad sample is found before a batch is stacked.

    It must pickle.
    """

    @abstractmethod
    def item(self, sample: Sample, epoch: int) -> Any:  # noqa: ANN401 (each maker has its own)
        """Make what a batch is stacked from, or begin it.

        Raises:
            BadSample: if the sample cannot be used.
        """

    @property
    def steps(self) -> Steps:
        """What a sample goes through; `item` alone unless a maker has more to do."""
        return (self.item,)

    @abstractmethod
    def batch(self, items: Sequence[Any], epoch: int) -> Batch:
        """Stack items."""

    def __call__(self, samples: Sequence[Sample], epoch: int) -> Batch:
        """Make a batch of samples that are good."""
        items: Sequence[Any] = samples
        for step in self.steps:
            items = [step(item, epoch) for item in items]
        return self.batch(items, epoch)


class Batches(Dataset[Made | InputError]):
    """Batches by (epoch, step), read and made where they are asked for.

    A user's mistake comes as a value: raised in a worker, its message would drown in a traceback.

    Args:
        fetch: positions to items.
        plan: (epoch, step) to positions.
        make: items to a batch.
    """

    def __init__(self, fetch: Fetch, plan: Plan, make: Make) -> None:
        self.fetch, self.plan, self.make = fetch, plan, make

    def __getitem__(self, place: Place) -> Made | InputError:
        """Make one batch."""
        try:
            found = self.fetch(self.plan(*place).tolist(), *place)
            batch = self.make([each.item for each in found], place[0])
        except InputError as error:
            return error
        return Made(batch, [each.drop for each in found if each.drop])
