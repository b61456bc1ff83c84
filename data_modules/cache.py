"""A folder of fetched shards that the processes of a machine share.

Each shard has a lock file: who reads the shard holds it shared, who fetches or deletes it holds it
alone. The kernel releases a dead process's locks, so nothing is left to clean.
"""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple
from weakref import WeakSet

from data_modules.download import Remote
from softmask.addresses import shown
from softmask.errors import InputError

Fill = Callable[[Remote, BinaryIO], None]
"""Write an object into a file that may hold its first bytes."""


class Lease:
    """A shard's file, kept from deletion until released.

    Args:
        file: the shard.
        lock: descriptor that holds its lock; None for a file that no cache owns.
    """

    def __init__(self, file: Path, lock: int | None = None) -> None:
        self.file, self._lock = file, lock
        if lock is not None:
            _HELD.add(self)

    def release(self) -> None:
        """Let the shard go; the file may vanish."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __del__(self) -> None:
        """Let go of a shard that nobody holds any more."""
        self.release()


_HELD: WeakSet[Lease] = WeakSet()


def _let_go() -> None:
    """Release what a forked process has of its parent's, who else could not let shards go alone."""
    for lease in list(_HELD):
        lease.release()


os.register_at_fork(after_in_child=_let_go)


class Cache:
    """Shards by content, or by address where an index gives no hash of the content.

    Args:
        folder: made if missing.
        most: bytes to keep; the least recently leased shards leave first.
        fill: fetches a shard.
    """

    def __init__(self, folder: Path, most: float, fill: Fill) -> None:
        self.folder, self.most, self._fill = folder, most, fill

    def lease(self, remote: Remote) -> Lease:
        """Hold a shard; fetch it when it is not here. Waits for another process that fetches it.

        Raises:
            InputError: if it cannot be fetched or stored, or is larger than the cache.
        """
        try:
            return self._lease(remote, self._file(remote))
        except OSError as error:
            raise InputError(
                f"The shard cache {self.folder} cannot be used ({error.strerror}): set "
                f"data.init_args.store.cache_dir to a folder with room where you may write."
            ) from error

    def forget(self, remote: Remote) -> None:
        """Delete a shard that proved broken, so that the next lease fetches it anew."""
        self._file(remote).unlink(missing_ok=True)

    def make_room(self, remote: Remote) -> bool:
        """Delete other shards that nobody holds until this one fits, as far as its size is known.

        Returns:
            Whether it fits now; the shards in use may be too many.
        """
        own = self._file(remote)
        found = sorted(_entries(self.folder), key=lambda entry: entry.used)
        entries = [entry for entry in found if entry.file.stem != own.stem]
        here = sum(entry.size for entry in found if entry.file.stem == own.stem)
        total = sum(entry.size for entry in entries) + max(here, remote.size or 0)
        for entry in entries:
            if total <= self.most:
                break
            if _delete(entry.file):
                total -= entry.size
        return total <= self.most

    def _lease(self, remote: Remote, file: Path) -> Lease:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            while True:
                # A lock changes its kind in two steps, so look again after each.
                fcntl.flock(lock, fcntl.LOCK_SH)
                if _is_whole(file, remote.size):
                    now = time.time_ns()  # finer than the clock of the file system's own stamps
                    os.utime(file, ns=(now, now))
                    return Lease(file, lock)
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not _is_whole(file, remote.size):
                    self._fetch(remote, file)
        except BaseException:
            # At once: a kept error keeps its frames, and this process would wait for itself.
            os.close(lock)
            raise

    def _file(self, remote: Remote) -> Path:
        # The same content under two addresses, signed ones for instance, is kept once.
        name = remote.sha256 or sha256(remote.url.encode("utf-8")).hexdigest()
        return self.folder / f"{name[:40]}.tar"

    def _fetch(self, remote: Remote, file: Path) -> None:
        self._refuse_giant(remote, remote.size or 0)
        partial = file.with_suffix(".partial")
        # What a killed process left is continued only where a hash will tell if it fits.
        with partial.open("a+b" if remote.sha256 else "w+b") as data:
            self._fill(remote, data)
            data.flush()
            size = os.fstat(data.fileno()).st_size
        self._refuse_giant(remote, size, partial)
        os.replace(partial, file)

    def _refuse_giant(self, remote: Remote, size: int, file: Path | None = None) -> None:
        if size <= self.most:
            return
        if file is not None:
            file.unlink()
        raise InputError(
            f"The shard {shown(remote.url)} takes {size / 1e9:.3g} GB but the cache "
            f"{self.most / 1e9:.3g} GB: raise data.init_args.store.cache_gb."
        )


class _Entry(NamedTuple):
    used: int
    size: int
    file: Path


def _entries(folder: Path) -> list[_Entry]:
    found = []
    for file in (*folder.glob("*.tar"), *folder.glob("*.partial")):
        with suppress(FileNotFoundError):  # another process may be deleting, too
            state = file.stat()
            found.append(_Entry(state.st_mtime_ns, state.st_size, file))
    return found


def _delete(file: Path) -> bool:
    lock = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _is_whole(file: Path, size: int | None) -> bool:
    try:
        found = file.stat().st_size
    except FileNotFoundError:
        return False
    return size is None or found == size
