"""Lists cut into batches."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from softmask.errors import InputError

Item = TypeVar("Item")


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut items into batches of a size; the last may be smaller.

    Raises:
        InputError: the size is below 1.
    """
    if size < 1:
        raise InputError(f"batch_size is {size}: give 1 or more.")
    for place in range(0, len(items), size):
        yield items[place : place + size]
