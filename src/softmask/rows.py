"""Rows of an evaluation, collected batch by batch; of all ranks, each sample counts once."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

POSITION = "position"


class Rows:
    """Collects tensors by name, a row a sample, and brings those of all ranks together."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Tensor]] = {}

    def add(self, position: Tensor, columns: Mapping[str, Tensor]) -> None:
        """Keep one batch.

        Args:
            position: places in the data set, (B,).
            columns: by name, each (B, ...), of the same shape a row in every batch.
        """
        for name, rows in {POSITION: position, **columns}.items():
            assert len(rows) == len(position), name
            self._rows.setdefault(name, []).append(rows.detach())

    def gather(self, gather: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Bring all ranks together; what was repeated to fill ranks counts once.

        Args:
            gather: stacks the rows of all ranks, equal in number on each.

        Returns:
            The columns and `position`, in the order of the data set, the same on every rank.
        """
        full = {name: gather(torch.cat(rows)) for name, rows in self._rows.items()}
        first = first_of_each(full[POSITION])
        order = first[full[POSITION][first].argsort()]
        return {name: rows[order] for name, rows in full.items()}


def first_of_each(ids: Tensor) -> Tensor:
    """Index of the first row of each id, in order: (R,) to (U,)."""
    unique, place = torch.unique(ids, return_inverse=True)
    rows = torch.arange(len(ids), device=ids.device)
    first = torch.full_like(unique, len(ids)).scatter_reduce(0, place, rows, "amin")
    return first.sort().values
