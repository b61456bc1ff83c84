"""Options that are numbers."""

from collections.abc import Mapping

from softmask.errors import InputError


def check_sizes(sizes: Mapping[str, int | None], least: int) -> None:
    """Refuse numbers that are too small.

    Args:
        sizes: by the option's name; None passes.
        least: the smallest that can work.

    Raises:
        InputError: if one is smaller.
    """
    for name, value in sizes.items():
        if value is not None and value < least:
            raise InputError(f"data.init_args.{name} is {value}: give {least} or more.")
