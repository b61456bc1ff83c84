"""Rows of an evaluation, collected batch by batch; of all ranks, each sample counts once."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

POSITION = "position"


class Rows:
    """Collects tensors and texts by name, a row a sample, and joins those of all ranks."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Tensor]] = {}
        self._texts: dict[str, list[str]] = {}

    def add(
        self,
        position: Tensor,
        columns: Mapping[str, Tensor],
        texts: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Keep one batch.

        Args:
            position: places in the data set, (B,).
            columns: by name, each (B, ...), of the same shape a row in every batch.
            texts: by name, B each, without zeros.
        """
        for name, lines in (texts or {}).items():
            assert len(lines) == len(position), name
            self._texts.setdefault(name, []).extend(lines)
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
        # A whole column is not copied: it may be half of a device's memory.
        own = {name: r[0] if len(r) == 1 else torch.cat(r) for name, r in self._rows.items()}
        full = {name: gather(rows) for name, rows in own.items()}
        order = _order(full[POSITION])
        return {name: rows[order] for name, rows in full.items()}

    def gather_texts(self, gather: Callable[[Tensor], Tensor]) -> dict[str, list[str]]:
        """The same of the texts: they cross ranks as bytes."""
        position = torch.cat(self._rows[POSITION])
        order = _order(gather(position)).tolist()
        full = {name: _gather(lines, gather, position) for name, lines in self._texts.items()}
        return {name: [lines[row] for row in order] for name, lines in full.items()}


def _order(position: Tensor) -> Tensor:
    """Rows of different samples, in the order of the data set."""
    first = first_of_each(position)
    return first[position[first].argsort()]


def _gather(lines: Sequence[str], gather: Callable[[Tensor], Tensor], like: Tensor) -> list[str]:
    """Texts of all ranks; `like` tells the device."""
    # Halves of characters come too: of JSON's escapes, of file names that are no UTF-8.
    encoded = [line.encode(errors="surrogatepass") for line in lines]
    own = torch.tensor([max(map(len, encoded), default=0)], device=like.device)
    width = int(gather(own).max())
    padded = b"".join(line.ljust(width, b"\0") for line in encoded)
    rows = torch.frombuffer(bytearray(padded), dtype=torch.uint8) if padded else torch.empty(0)
    everyone = gather(rows.to(like.device, torch.uint8).view(len(lines), width))
    return [bytes(row).rstrip(b"\0").decode(errors="surrogatepass") for row in everyone.tolist()]


def first_of_each(ids: Tensor) -> Tensor:
    """Index of the first row of each id, in order: (R,) to (U,)."""
    unique, place = torch.unique(ids, return_inverse=True)
    rows = torch.arange(len(ids), device=ids.device)
    first = torch.full_like(unique, len(ids)).scatter_reduce(0, place, rows, "amin")
    return first.sort().values
