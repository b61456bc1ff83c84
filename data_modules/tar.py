"""One tar of samples: where its members lie, and their bytes."""

import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from webdataset.tariterators import base_plus_ext  # type: ignore[import-untyped]

from data_modules.walk import Entry, walk
from softmask.errors import InputError


class Member(NamedTuple):
    """Where a column's bytes lie in the tar."""

    offset: int
    size: int


StoredSample = tuple[str, dict[str, Member]]
"""A key, and where its columns lie."""


class TarShard:
    """A tar opened for random access; members are grouped as WebDataset does.

    Args:
        file: an uncompressed tar.
        name: for messages, where it is not the file's.

    Raises:
        InputError: if it is no whole tar, or holds links or paths that lead out of it.
    """

    def __init__(self, file: Path, name: str | None = None) -> None:
        self.file = file
        self._samples = _scan(file, name or str(file))
        self._descriptor: int | None = None

    @property
    def count(self) -> int:
        """Samples in the tar."""
        return len(self._samples)

    @property
    def samples(self) -> list[StoredSample]:
        """Where everything lies, in storage order."""
        return self._samples

    def read(self, number: int) -> tuple[str, dict[str, bytes]]:
        """Read sample `number`: its key and its columns by extension.

        Raises:
            InputError: if the file became shorter since it was opened.
        """
        if self._descriptor is None:
            self._descriptor = os.open(self.file, os.O_RDONLY)
        key, members = self._samples[number]
        places = [*members.values()]
        start, stop = places[0].offset, sum(places[-1])
        # At once, for members lie side by side, in the tar's order; pread has no file position, so
        # a forked worker cannot disturb its siblings.
        data = os.pread(self._descriptor, stop - start, start)
        if len(data) < stop - start:
            data = self._rest(self._descriptor, data, start, stop)
        return key, {
            column: data[offset - start : offset - start + size]
            for column, (offset, size) in members.items()
        }

    def _rest(self, descriptor: int, data: bytes, start: int, stop: int) -> bytes:
        """Read on: systems give 2 GiB at once at most, some file systems less than asked for."""
        parts, at = [data], start + len(data)
        while at < stop:
            parts.append(os.pread(descriptor, stop - at, at))
            at += len(parts[-1])
            if not parts[-1]:
                raise InputError(
                    f"The shard {self.file} became shorter while it was read, it ends before byte "
                    f"{stop}: leave the data alone while a run reads it, and write it again."
                )
        return b"".join(parts)

    def close(self) -> None:
        """Close the file; a later read opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        """Close the file of a shard that nobody holds any more."""
        if getattr(self, "_descriptor", None) is not None:
            self.close()


def _scan(file: Path, name: str) -> list[StoredSample]:
    samples: list[StoredSample] = []
    end = 0
    try:
        # Every worker looks through every shard of a large set, so this look counts.
        if (entries := walk(file)) is not None:
            for entry in entries:
                if not is_meta(entry.name):
                    _add(samples, name, entry)
            return samples
        with tarfile.open(file, mode="r:") as tar:
            for info in tar:
                end = info.offset_data + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                if info.isdir() or is_meta(info.name):
                    continue
                _refuse_unsafe(name, info)
                _add(samples, name, Entry(info.name, info.offset_data, info.size))
        with file.open("rb") as data:
            data.seek(end)
            # tarfile takes a header that is cut off for the end; a whole tar ends in zeros.
            if data.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
                raise tarfile.ReadError("its end is missing")
    except InputError:
        raise
    except (tarfile.TarError, OSError, ValueError) as error:  # of numbers in headers, ValueError
        raise InputError(
            f"The shard {name} is no whole, uncompressed tar ({error}): copy or write it again."
        ) from error
    return samples


def _add(samples: list[StoredSample], shard: str, entry: Entry) -> None:
    key, column = base_plus_ext(entry.name)
    if key is None:
        return
    if not samples or samples[-1][0] != key:
        samples.append((key, {}))
    columns = samples[-1][1]
    if column.lower() in columns:
        raise InputError(
            f"The shard {shard} holds {entry.name!r} twice: write it again with one file each."
        )
    columns[column.lower()] = Member(entry.offset, entry.size)


def is_meta(name: str) -> bool:
    """Tell whether a member is no part of a sample."""
    first, last = name.split("/", 1)[0], name.rsplit("/", 1)[-1]
    # macOS puts ._a.jpg before a.jpg: in a folder its key would be the folder's name.
    return last.startswith(".") or (first.startswith("__") and first.endswith("__"))


def _refuse_unsafe(shard: str, info: tarfile.TarInfo) -> None:
    path = PurePosixPath(info.name)
    if not info.isreg() or info.issparse() or path.is_absolute() or ".." in path.parts:
        raise InputError(
            f"The shard {shard} holds {info.name!r}, which is a link, a device or a path that "
            "leads out of the tar: write it again with plain files only."
        )
