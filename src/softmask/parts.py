"""A long job in parts, which several processes or machines do at once."""

import re
from typing import NamedTuple

from softmask.errors import InputError


class Part(NamedTuple):
    """Part `number` of `of`, counted from 1."""

    number: int
    of: int


def parse_part(text: str) -> Part:
    """Read "2/4".

    Raises:
        InputError: if it is no such part.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    part = Part(int(match[1]), int(match[2])) if match else Part(0, 0)
    if not 1 <= part.number <= part.of:
        raise InputError(f"The part is {text!r}: give 1/4, 2/4, 3/4 and 4/4 for a job in four.")
    return part
