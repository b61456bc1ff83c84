"""What is left of a tar: training refuses it whole, `softmask data check` looks at each member.

Nothing is extracted, no link is followed.
"""

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from data_modules.ends import check_end
from data_modules.reasons import Reason
from data_modules.tar import Member, StoredSample, TarShard, is_meta
from softmask.errors import InputError

NAME = re.compile(r"((?:.*/)?[^.]+)\.([^/]*)", re.DOTALL)
"""WebDataset's rule: the key ends at the first dot of the file's name."""


class Fault(NamedTuple):
    """Why a shard cannot be used as it is."""

    reason: Reason
    name: str  # of the member, empty for the tar itself
    detail: str


class Salvaged(NamedTuple):
    """The samples that no fault touches, and all faults."""

    samples: list[StoredSample]
    faults: list[Fault]


def read_stored(file: Path) -> Salvaged:
    """Read a tar as training does, or what is left of one that training refuses."""
    try:
        return Salvaged(TarShard(file).samples, [])
    except InputError:
        return salvage(file)


def salvage(file: Path) -> Salvaged:
    """Read a tar that training refuses, as far as it can be read."""
    samples: list[StoredSample] = []
    faults: list[Fault] = []
    touched: set[str] = set()
    try:
        for info in _members(file):
            match = NAME.fullmatch(info.name)
            reason = unsafe(info)
            if reason is None and match and _is_new(samples, match[1], match[2].lower(), info):
                continue
            if match or reason:
                touched.add(match[1] if match else info.name)
                found = reason or Reason.REPEATED_MEMBER
                faults.append(Fault(found, info.name, f"holds the member {info.name!r}"))
        check_end(file)
    except (tarfile.TarError, OSError, ValueError) as error:
        begun = bool(samples or faults)
        reason = Reason.TRUNCATED_TAR if begun or _is_tar(file) else Reason.NOT_A_TAR
        faults.append(Fault(reason, "", f"is no whole, uncompressed tar ({error})"))
        # Of the last sample some columns may be lost.
        touched.update(key for key, _ in samples[-1:])
    return Salvaged([sample for sample in samples if sample[0] not in touched], faults)


def unsafe(info: tarfile.TarInfo) -> Reason | None:
    """Say why a member is never read, None if it is a plain file."""
    path = PurePosixPath(info.name)
    if path.is_absolute() or ".." in path.parts:
        return Reason.UNSAFE_PATH
    if info.issym() or info.islnk():
        return Reason.LINK
    return None if info.isreg() and not info.issparse() else Reason.SPECIAL_FILE


def _members(file: Path) -> Iterator[tarfile.TarInfo]:
    size = file.stat().st_size
    with tarfile.open(file, mode="r:") as tar:
        for info in tar:
            if info.isdir() or is_meta(info.name):
                continue
            if info.offset_data + info.size > size:
                raise tarfile.ReadError("unexpected end of data")
            yield info


def _is_new(samples: list[StoredSample], key: str, column: str, info: tarfile.TarInfo) -> bool:
    if not samples or samples[-1][0] != key:
        samples.append((key, {}))
    columns = samples[-1][1]
    if column in columns:
        return False
    columns[column] = Member(info.offset_data, info.size)
    return True


def _is_tar(file: Path) -> bool:
    """Tell whether a tar begins here, whatever is left of it."""
    with file.open("rb") as data:
        return data.read(tarfile.BLOCKSIZE)[257:262] == b"ustar"
