"""Dropped samples of all ranks together."""

from collections.abc import Callable

import lightning.pytorch as L
import torch

from data_modules.reasons import Reason
from softmask.drops import READ, Tally

CHECK_EVERY = 50
"""Batches between two looks at the samples dropped on all ranks; one rank looks at each."""


def sum_over_ranks(tally: Tally, trainer: L.Trainer | None) -> dict[str, int]:
    """Add the counts of all ranks, all of which must ask; reasons that never came are left out.

    Args:
        tally: of this rank.
        trainer: knows the other ranks; without one there are none.
    """
    names = [READ, *Reason]
    own = tally.state_dict()
    counts = torch.tensor([own.get(name, 0) for name in names])
    if trainer is not None:
        strategy = trainer.strategy
        counts = strategy.reduce(counts.to(strategy.root_device), reduce_op="sum").cpu()
    found = dict(zip(map(str, names), counts.tolist(), strict=True))
    return {name: count for name, count in found.items() if count or name == READ}


class DropLimit:
    """Stops a run that loses too much: all ranks at the same batch, with the same words.

    Args:
        tally: of this rank.
        everywhere: sums over the ranks, all of which must ask.
        world: number of ranks.
    """

    def __init__(
        self, tally: Tally, everywhere: Callable[[], dict[str, int]], *, world: int
    ) -> None:
        self.tally, self.everywhere, self.world = tally, everywhere, world
        self._batches = 0

    def __call__(self, whole_epoch: bool) -> None:
        """Judge after a batch.

        Raises:
            InputError: if more samples were dropped than the tally allows.
        """
        self._batches += 1
        if self.world == 1:
            self.tally.check(whole_epoch)
        elif whole_epoch or self._batches % CHECK_EVERY == 0:
            joined = Tally(self.tally.max_rate)
            joined.load_state_dict(self.everywhere())
            joined.check(whole_epoch)
