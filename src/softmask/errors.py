"""The one error a user can mend, and what it quotes of others."""

from collections.abc import Mapping
from math import inf
from operator import index

Range = tuple[float, float]


class InputError(ValueError):
    """A user's mistake: the message is one paragraph with the value found and the way to mend it.

    The command line prints the message alone and exits with 1; everywhere else it is a ValueError.
    """


def refuse_outside(owner: str, values: Mapping[str, float], ranges: Mapping[str, Range]) -> None:
    """Refuse numbers out of range.

    Args:
        owner: what holds them, as in "contrast".
        values: by option.
        ranges: least and most by option, both allowed.

    Raises:
        InputError: names the first one outside, or not a number.
    """
    for name, (least, most) in ranges.items():
        if not least <= values[name] <= most:
            limits = f"{least:g} or more" if most == inf else f"a number from {least:g} to {most:g}"
            raise InputError(f"{owner}.{name} is {values[name]}: give {limits}.")


def check_count(name: str, value: int) -> None:
    """Refuse what is no whole number from 1 on.

    Raises:
        InputError: names it, with the value.
    """
    try:
        count = index(value)
    except TypeError:
        raise InputError(f"{name} is {value!r}: give a whole number, 1 or more.") from None
    if count < 1:
        raise InputError(f"{name} is {value}: give 1 or more.")


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind when it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
