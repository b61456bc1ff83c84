"""Lists cut into batches."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from softmask.errors import check_count

Item = TypeVar("Item")


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut items into batches of a size; the last may be smaller.

    Raises:
        InputError: the size is no whole number, or below 1.
    """
    check_count("batch_size", size)
    for place in range(0, len(items), size):
        yield items[place : place + size]
