"""Keys and ids that several shards of a set hold, from the second shard on."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_modules.examine import Examined, Example, read_notes
from data_modules.identifiers import sample_id
from data_modules.salvage import read_stored
from data_modules.seeds import hash63

Names = dict[int, tuple[str, str]]
"""By their numbers: the key of a sample, and what it is called."""


def duplicate_keys(examined: Sequence[Examined]) -> Iterator[Example]:
    """Name keys that another shard holds."""
    for file, first, (key, _) in _repeated(examined, [one.keys for one in examined], _keys):
        yield Example(str(file), key, f"is also in {first}")


def duplicate_ids(examined: Sequence[Examined]) -> Iterator[Example]:
    """Name samples that have the id of one in another shard."""
    for file, first, (key, name) in _repeated(examined, [one.ids for one in examined], _ids):
        yield Example(str(file), key, f"has the {name}, as a sample of {first} has")


def _repeated(
    examined: Sequence[Examined],
    numbers: Sequence[NDArray[np.int64]],
    names_of: Callable[[Path], Names],
) -> Iterator[tuple[Path, Path, tuple[str, str]]]:
    """Give the shard, the first one, and the names of what both hold."""
    shards = [np.unique(own) for own in numbers]
    found, counts = np.unique(np.concatenate(shards), return_counts=True)
    twice = set(found[counts > 1].tolist())
    first: dict[int, Path] = {}
    for one, own in zip(examined, shards, strict=True):
        wanted = twice.intersection(own.tolist())
        names = names_of(one.file) if wanted else {}
        for number in sorted(wanted):
            if number in first:
                yield one.file, first[number], names[number]
            else:
                first[number] = one.file


def _keys(file: Path) -> Names:
    return {hash63(key): (key, key) for key, _ in read_stored(file).samples}


def _ids(file: Path) -> Names:
    stored = read_stored(file).samples
    names = {}
    for (key, _), notes in zip(stored, read_notes(file, stored), strict=True):
        if (name := sample_id(notes)) is not None:
            names[hash63(name)] = (key, name)
    return names
