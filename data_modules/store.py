"""Shards on this machine or elsewhere; those elsewhere come whole into a cache, to read at random.

Order is a function of (seed, epoch, place), which a stream could not follow.
"""

import io
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlsplit, urlunsplit

from data_modules.cache import Cache, Lease
from data_modules.download import Remote, download
from softmask.addresses import PIPE, shown
from softmask.errors import InputError

Place = Path | Remote
WEB = ("http", "https")


@dataclass(frozen=True)
class StoreOptions:
    """How shards of http(s)://, s3://, gs:// and other addresses are fetched and kept.

    Args:
        cache_dir: folder on a local disk that the processes of a machine share; None takes
            softmask/shards in the user's cache folder ($XDG_CACHE_HOME or ~/.cache). A shard that
            no index gives a hash of is known by its address, and never fetched again: where such
            files changed, delete the folder.
        cache_gb: size of the cache; the least recently used shards leave, none in use does.
        retries: tries after a failed one; what came already is not fetched again.
        timeout: seconds without data after which a try has failed.
        allow_pipe: let "pipe:COMMAND" run a shell command whose output is a shard.
    """

    cache_dir: str | None = None
    cache_gb: float = 100.0
    retries: int = 5
    timeout: float = 30.0
    allow_pipe: bool = False

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        for name in ("cache_gb", "timeout"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"store.{name} is {value}: give a number above 0.")
        if self.retries < 0:
            raise InputError(f"store.retries is {self.retries}: give 0 or more.")


class Store:
    """Finds and holds the files of shards, wherever they lie.

    Args:
        options: of those that are fetched.
    """

    def __init__(self, options: StoreOptions) -> None:
        self.options = options
        self._cache = Cache(_folder(options), options.cache_gb * 1e9, self._fill)

    def check(self, url: str) -> None:
        """Refuse an address that may not be used.

        Raises:
            InputError: if it is a command and commands are not allowed.
        """
        if url.startswith(PIPE) and not self.options.allow_pipe:
            raise InputError(
                f"{shown(url)} would run a shell command: set data.init_args.store.allow_pipe to "
                f"true if you trust it."
            )

    def read(self, url: str) -> bytes:
        """Fetch a small object, an index for instance, into memory.

        Raises:
            InputError: if it cannot be fetched.
        """
        data = io.BytesIO()
        self._fill(Remote(url), data)
        return data.getvalue()

    def lease(self, place: Place) -> Lease:
        """Hold a shard's file; fetch it when it is elsewhere.

        Raises:
            InputError: if it cannot be fetched or kept.
        """
        return Lease(place) if isinstance(place, Path) else self._cache.lease(place)

    def make_room(self, place: Place) -> bool:
        """Let old shards leave the cache until this one fits.

        Returns:
            Whether it fits now; the shards in use may be too many.
        """
        return isinstance(place, Path) or self._cache.make_room(place)

    def forget(self, place: Place) -> None:
        """Delete the copy of a shard that proved broken; a file that is no copy stays."""
        if isinstance(place, Remote):
            self._cache.forget(place)

    def _fill(self, remote: Remote, file: BinaryIO) -> None:
        self.check(remote.url)
        download(remote, file, retries=self.options.retries, timeout=self.options.timeout)


def is_remote(path: str) -> bool:
    """Tell addresses and commands from paths of this machine."""
    return path.startswith(PIPE) or "://" in path


def beside(url: str, name: str) -> str:
    """Give the address of a file in the folder of another one; a query stays."""
    parts = urlsplit(url)
    folder = parts.path.rpartition("/")[0]
    if parts.scheme in WEB:
        name = quote(name, errors="surrogateescape")  # as it is called on its disk, "#" and "%" too
    return urlunsplit(parts._replace(path=f"{folder}/{name}"))


def inside(url: str, name: str) -> str:
    """Give the address of a file in a folder; a query stays."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))


def name_of(place: Place) -> str:
    """Name a shard for messages."""
    return str(place) if isinstance(place, Path) else shown(place.url)


def _folder(options: StoreOptions) -> Path:
    if options.cache_dir is not None:
        return Path(options.cache_dir).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "softmask" / "shards"
