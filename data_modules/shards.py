"""Random access to the samples of WebDataset tars, on this machine's disk or brought there.

A position is a sample's place in storage order, counted over all shards.
"""

import json
import os
import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from glob import glob
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from webdataset.shardlists import expand_urls  # type: ignore[import-untyped]

from data_modules.cache import Lease
from data_modules.download import Remote
from data_modules.identity import hash_names, join_hashes
from data_modules.mixture import Source
from data_modules.order import Counts
from data_modules.store import Place, Store, StoreOptions, beside, inside, is_remote, name_of
from data_modules.tar import TarShard
from softmask.addresses import PIPE, shown
from softmask.errors import InputError

FORMAT = "softmask-shards-1"
INDEX = "index.json"
OPEN_SHARDS = 32  # files and member tables a process keeps
_WRITE = "write the data set with `softmask data write`"


class Sample(NamedTuple):
    """One sample as stored: its columns are bytes by extension."""

    position: int
    shard: str
    key: str
    columns: dict[str, bytes]
    turn: int = 0
    """How often the sample came before in this epoch; a mixture may repeat it."""
    source: int = 0
    """Of several training sources the one it comes from, by its place in their list."""

    @property
    def draws(self) -> str:
        """Name this coming of the sample, for the seed of its augmentation."""
        return f"{self.key}#{self.turn}" if self.turn else self.key


class ShardSet:
    """The samples of a data set, read in any order.

    Args:
        path: a folder with shards, its index.json, one .tar, or a pattern such as
            "train/{00000..00012}.tar" or "train/*.tar"; or addresses of the same, without the *.
            Several sources are read as one set, in their order.
        store: fetches and keeps the shards of addresses.

    Raises:
        InputError: if shards are missing, empty, or disagree with the index.
    """

    def __init__(
        self,
        path: str | Sequence[Source],
        store: StoreOptions = StoreOptions(),  # noqa: B008 (frozen)
    ) -> None:
        self._store = Store(store)
        self._open: OrderedDict[int, _Held] = OrderedDict()
        sources = [Source(path)] if isinstance(path, str) else list(path)
        found = [_find(source.path, self._store) for source in sources]
        self._places = [place for listed in found for place in listed.places]
        self._names = [name_of(place) for place in self._places]
        self.sources = tuple(listed.counts or self._count(listed.places) for listed in found)
        self._owners = [owner for owner, own in enumerate(self.sources) for _ in own]
        self.path = ", ".join(shown(source.path) for source in sources)
        self.weights = tuple(source.weight for source in sources)
        self.counts = tuple(count for counts in self.sources for count in counts)
        for name, count in zip(self._names, self.counts, strict=True):
            if count == 0:
                raise InputError(f"The shard {name} holds no samples: delete it or write it again.")
        self._ends = list(accumulate(self.counts))
        self.hash = join_hashes(
            [
                listed.hash or hash_names([*map(name_of, listed.places)], counts)
                for listed, counts in zip(found, self.sources, strict=True)
            ]
            + [f"weight {weight}" for weight in self.weights if set(self.weights) != {1.0}]
        )
        """Of all bytes, as the index has it; without, of the shards' names and counts."""

    def __len__(self) -> int:
        """Count the samples."""
        return self._ends[-1]

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files behind: a worker process opens its own."""
        return {**self.__dict__, "_open": OrderedDict()}

    def read(self, position: int) -> Sample:
        """Read one sample.

        Args:
            position: from 0; len(self) added for each turn that the sample had before.

        Raises:
            InputError: if the shard is gone, broken, or does not hold what the index says.
        """
        turn, position = divmod(position, len(self))
        number = bisect_right(self._ends, position)
        shard = self._shard(number)
        key, columns = shard.read(position - self._ends[number] + self.counts[number])
        return Sample(position, self._names[number], key, columns, turn, self._owners[number])

    def _shard(self, number: int) -> TarShard:
        held = self._open.pop(number, None) or self._load(number)
        self._open[number] = held
        return held.tar

    def _load(self, number: int) -> "_Held":
        # Own shards go before the cache grows beyond its size.
        while self._open and (
            len(self._open) >= OPEN_SHARDS or not self._store.make_room(self._places[number])
        ):
            self._open.popitem(last=False)[1].close()
        held = self._hold(self._places[number])
        if held.tar.count != self.counts[number]:
            held.close()
            raise InputError(
                f"The shard {self._names[number]} holds {held.tar.count} samples but its index "
                f"says {self.counts[number]}: write the data set again with `softmask data "
                f"write`, or delete {INDEX} to count anew."
            )
        return held

    def _hold(self, place: Place) -> "_Held":
        lease = self._store.lease(place)
        try:
            return _Held(TarShard(lease.file, name_of(place)), lease)
        except InputError:
            self._store.forget(place)
            lease.release()
            raise

    def _count(self, places: Sequence[Place]) -> Counts:
        return tuple(self._count_one(place) for place in places)

    def _count_one(self, place: Place) -> int:
        self._store.make_room(place)
        held = self._hold(place)
        held.close()
        return held.tar.count


class _Held(NamedTuple):
    """A shard that is open, and what keeps its file there."""

    tar: TarShard
    lease: Lease

    def close(self) -> None:
        """Close the file, then let it go."""
        self.tar.close()
        self.lease.release()


class _Listed(NamedTuple):
    """Where shards are; their counts if an index says them."""

    places: list[Place]
    counts: Counts | None = None
    hash: str | None = None


def tars_in(folder: Path) -> list[Path]:
    """List a folder's tars, but for hidden ones: macOS puts ._00000.tar beside 00000.tar."""
    return sorted(folder.glob("[!.]*.tar"))


def read_index(file: Path) -> dict[str, Any]:
    """Read an index.json.

    Raises:
        InputError: if it is no index of this format.
    """
    try:
        return _parse_index(file.read_bytes(), str(file))
    except OSError as error:
        raise InputError(f"{file} is no index of shards: {_WRITE}.") from error


def _parse_index(data: bytes, name: str) -> dict[str, Any]:
    try:
        index = json.loads(data)
        known = index["format"] == FORMAT and all(map(_is_line, index["shards"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{name} is no index of shards: {_WRITE}.") from error
    if not known:
        raise InputError(f"{name} is not of the format {FORMAT}: {_WRITE}.")
    return dict(index)


def _is_line(shard: Mapping[str, object]) -> bool:
    return (
        isinstance(shard["name"], str)
        and isinstance(shard["count"], int)
        and isinstance(shard.get("bytes", 0), int)
        and re.fullmatch("[0-9a-f]{64}", str(shard.get("sha256", "0" * 64))) is not None
    )


def _find(path: str, store: Store) -> _Listed:
    listed = _find_remote(path, store) if is_remote(path) else _find_local(path)
    if not listed.places:
        raise InputError(
            f"No shards at {shown(path)!r}: {_WRITE}, or give the folder that holds them."
        )
    return listed


def _find_remote(url: str, store: Store) -> _Listed:
    _check_address(url)
    if not url.startswith(PIPE) and not urlsplit(url).path.endswith(".tar"):
        index_url = url if urlsplit(url).path.endswith(f"/{INDEX}") else inside(url, INDEX)
        index = _parse_index(store.read(index_url), shown(index_url))
        shards = index["shards"]
        places: list[Place] = [
            Remote(beside(index_url, shard["name"]), shard.get("bytes"), shard.get("sha256"))
            for shard in shards
        ]
        return _Listed(places, tuple(shard["count"] for shard in shards), index.get("hash"))
    if "*" in urlsplit(url).path:
        raise InputError(f"{shown(url)} has a *: name shards elsewhere as {{00000..00012}}.tar.")
    addresses = _expanded(url)  # of {a,b} and a::b, any may be a command
    for one in addresses:
        _check_address(one)
        store.check(one)
    return _Listed([Remote(one) for one in addresses])


def _check_address(url: str) -> None:
    try:
        urlsplit(url)
    except ValueError as error:
        wrong = f"{shown(url)!r} is no address: write it as https://host/folder."
        raise InputError(wrong) from error


def _find_local(path: str) -> _Listed:
    place = Path(path)
    index = place if place.name == INDEX else place / INDEX
    counts, known = None, None
    if index.is_file():
        tree = read_index(index)
        shards, known = tree["shards"], tree.get("hash")
        files = [index.parent / shard["name"] for shard in shards]
        counts = tuple(shard["count"] for shard in shards)
    elif place.is_dir():
        files = tars_in(place)
    elif place.is_file():  # whatever its name would mean as a pattern
        files = [place]
    else:
        files = [Path(hit) for pattern in _expanded(path) for hit in _matching(pattern)]
    for file in files:
        if not os.path.isfile(file):
            raise InputError(f"The shard {file} of {path!r} does not exist: mend it, or {_WRITE}.")
    return _Listed([*files], counts, known)


def _matching(pattern: str) -> list[str]:
    """Files of a pattern; itself where it is one, or where there is none."""
    return [pattern] if os.path.isfile(pattern) else sorted(glob(pattern)) or [pattern]


def _expanded(pattern: str) -> list[str]:
    try:
        return list(expand_urls(pattern))
    except (ValueError, AssertionError) as error:  # an open brace, a ${NAME} that is not set
        raise InputError(
            f"The pattern {shown(pattern)!r} cannot be read: close its braces, as in "
            f"{{00000..00012}}.tar, and set WDS_NAME in the environment for each ${{NAME}}."
        ) from error
