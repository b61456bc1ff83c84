"""Random access to the samples of WebDataset tars on this machine's disk.

A position is a sample's place in storage order, counted over all shards.
"""

import json
import os
from bisect import bisect_right
from collections import OrderedDict
from glob import glob
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from webdataset.shardlists import expand_urls  # type: ignore[import-untyped]

from data_modules.tar import TarShard
from softmask.errors import InputError

FORMAT = "softmask-shards-1"
INDEX = "index.json"
OPEN_SHARDS = 32  # files and member tables a process keeps


class Sample(NamedTuple):
    """One sample as stored: its columns are bytes by extension."""

    position: int
    shard: str
    key: str
    columns: dict[str, bytes]


class ShardSet:
    """The samples of a data set, read in any order.

    Args:
        path: a folder with shards, its index.json, one .tar, or a pattern such as
            "train/{00000..00012}.tar" or "train/*.tar".

    Raises:
        InputError: if shards are missing, empty, or disagree with the index.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.files, counts = _find(path)
        self.counts = counts or tuple(TarShard(file).count for file in self.files)
        for file, count in zip(self.files, self.counts, strict=True):
            if count == 0:
                raise InputError(f"The shard {file} holds no samples: delete it or write it again.")
        self._ends = list(accumulate(self.counts))
        self._open: OrderedDict[int, TarShard] = OrderedDict()

    def __len__(self) -> int:
        """Count the samples."""
        return self._ends[-1]

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files behind: a worker process opens its own."""
        return {**self.__dict__, "_open": OrderedDict()}

    def read(self, position: int) -> Sample:
        """Read one sample.

        Args:
            position: 0 <= position < len(self).

        Raises:
            InputError: if the shard is gone, broken, or does not hold what the index says.
        """
        number = bisect_right(self._ends, position)
        shard = self._shard(number)
        key, columns = shard.read(position - self._ends[number] + self.counts[number])
        return Sample(position, str(self.files[number]), key, columns)

    def _shard(self, number: int) -> TarShard:
        shard = self._open.pop(number, None)
        if shard is None:
            shard = TarShard(self.files[number])
            if shard.count != self.counts[number]:
                raise InputError(
                    f"The shard {self.files[number]} holds {shard.count} samples but its index "
                    f"says {self.counts[number]}: write the data set again with `softmask data "
                    f"write`, or delete {INDEX} to count anew."
                )
            if len(self._open) >= OPEN_SHARDS:
                self._open.popitem(last=False)[1].close()
        self._open[number] = shard
        return shard


def read_index(file: Path) -> dict[str, Any]:
    """Read an index.json.

    Raises:
        InputError: if it is no index of this format.
    """
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
        known = index["format"] == FORMAT and all(
            isinstance(shard["name"], str) and isinstance(shard["count"], int)
            for shard in index["shards"]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is no index of shards: {_WRITE}.") from error
    if not known:
        raise InputError(f"{file} is not of the format {FORMAT}: {_WRITE}.")
    return dict(index)


_WRITE = "write the data set with `softmask data write`"


def _find(path: str) -> tuple[list[Path], tuple[int, ...]]:
    place = Path(path)
    index = place if place.name == INDEX else place / INDEX
    if index.is_file():
        shards = read_index(index)["shards"]
        files = [index.parent / shard["name"] for shard in shards]
        counts = tuple(shard["count"] for shard in shards)
    elif place.is_dir():
        files, counts = sorted(place.glob("*.tar")), ()
    else:
        files = [
            Path(hit) for pattern in expand_urls(path) for hit in sorted(glob(pattern)) or [pattern]
        ]
        counts = ()
    if not files:
        raise InputError(f"No shards at {path!r}: {_WRITE}, or give the folder that holds them.")
    for file in files:
        if not os.path.isfile(file):
            raise InputError(
                f"The shard {file} of {path!r} does not exist: mend the path, or {_WRITE}."
            )
    return files, counts
