"""Write samples as WebDataset shards: the same samples give the same bytes.

A shard gets its name when it is whole, the index comes last: whoever finds an index finds all.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm  # type: ignore[import-untyped]
from webdataset import TarWriter  # type: ignore[import-untyped]

from data_modules.contents import LEFT, RIGHT
from data_modules.shards import FORMAT, INDEX
from softmask.errors import InputError

KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")
EXTENSIONS = ("jpg", "jpeg", "png", "webp")


class Pair(NamedTuple):
    """A picture and its captions; or two pictures, the first of them on the left."""

    key: str
    image: bytes  # as stored
    extension: str
    captions: list[str]
    meta: dict[str, object]
    second: bytes | None = None  # the picture on the right
    second_extension: str = ""  # of it; "" is that of the first


@dataclass(frozen=True)
class Shard:
    """One line of the index; a shard that was only counted has no sha256."""

    name: str
    count: int
    bytes: int
    sha256: str = ""
    left_out: dict[str, str] = field(default_factory=dict)
    """Keys of samples that are not in it, and why: for whoever writes it, not for the index."""


def write_shards(
    pairs: Iterable[Pair],
    folder: Path,
    *,
    shard_size: int = 1000,
    total: int | None = None,
    notes: Mapping[str, object] | None = None,
) -> int:
    """Write 00000.tar, 00001.tar, ... and index.json.

    Args:
        pairs: in the order in which they are stored.
        folder: made if missing.
        shard_size: pairs in each shard but the last.
        total: number of pairs, for the time left.
        notes: "credit", "license" and the like, kept in the index.

    Returns:
        Pairs written.

    Raises:
        InputError: if the folder holds a data set already, there is no pair, or a pair's key,
            extension or captions cannot be stored.
    """
    if shard_size < 1:
        raise InputError(f"The shard size is {shard_size}: give at least 1.")
    if (folder / INDEX).exists():
        raise InputError(f"{folder} holds a data set already: delete it or choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    stream = iter(tqdm(pairs, desc=str(folder), total=total, unit="pair"))
    shards: list[Shard] = []
    for first in stream:
        part = chain([first], islice(stream, shard_size - 1))
        shards.append(write_shard(part, folder, f"{len(shards):05d}.tar"))
    if not shards:
        raise InputError(f"There is nothing to write to {folder}: give at least one picture.")
    return write_index(shards, folder, notes or {})


def columns(pair: Pair) -> dict[str, bytes]:
    """Give a pair's members by extension.

    Raises:
        InputError: if its key, extension or captions cannot be stored.
    """
    if not KEY.fullmatch(pair.key):
        raise InputError(
            f"The key {pair.key!r} cannot be stored: use 1 to 80 letters, digits, - and _ (dots "
            "and slashes have a meaning in tars)."
        )
    for extension in (pair.extension, pair.second_extension or pair.extension):
        if extension not in EXTENSIONS:
            raise InputError(
                f"The picture of {pair.key!r} is a {extension!r}: use one of "
                f"{', '.join(EXTENSIONS)}."
            )
    captions = [_whole_letters(caption) for caption in pair.captions]
    if not captions or not all(caption.strip() for caption in captions):
        raise InputError(
            f"The pair {pair.key!r} has an empty caption: give it one or leave it out."
        )
    meta = {**pair.meta, "captions": captions} if len(captions) > 1 else pair.meta
    text = json.dumps(meta, ensure_ascii=False, sort_keys=True)
    # Names of files need not be UTF-8; in a JSON string the escape is one of JSON's.
    said = text.encode("utf-8", errors="backslashreplace")
    notes = {"txt": captions[0].encode("utf-8"), "json": said}
    if pair.second is None:
        return {pair.extension: pair.image, **notes}
    right = f"{RIGHT}.{pair.second_extension or pair.extension}"
    return {f"{LEFT}.{pair.extension}": pair.image, right: pair.second, **notes}


def _whole_letters(caption: str) -> str:
    """Leave out halves of characters, as `normalise` does: no UTF-8 holds them."""
    return caption.encode("utf-8", errors="ignore").decode("utf-8")


def write_shard(pairs: Iterable[Pair], folder: Path, name: str) -> Shard:
    """Write one shard; it gets its name when it is whole and on the disk.

    Args:
        pairs: in the order in which they are stored.
        folder: that exists.
        name: of the shard.

    Raises:
        InputError: if a pair's key, extension or captions cannot be stored.
        OSError: if the disk is full, with the shard's name.
    """
    # The leading dot keeps a half-written shard out of every *.tar; the number keeps a process
    # that outlives its killed parent out of the file of the next one.
    partial = folder / f".{name}.{os.getpid()}.partial"
    count = 0
    try:
        with partial.open("wb") as file:
            with TarWriter(file, encoder=False, mtime=0) as tar:
                for pair in pairs:
                    tar.write({"__key__": pair.key, **columns(pair)})
                    count += 1
            file.flush()
            os.fsync(file.fileno())
        digest, size = hash_file(partial), partial.stat().st_size
        os.replace(partial, folder / name)
    except OSError as error:
        if error.filename is None:  # a full disk is told while writing, which knows no names
            error.filename = str(folder / name)
        raise
    finally:
        partial.unlink(missing_ok=True)
    return Shard(name, count, size, digest)


def hash_file(file: Path) -> str:
    """Give a file's SHA-256."""
    with file.open("rb") as whole:
        return hashlib.file_digest(whole, "sha256").hexdigest()


def write_index(shards: Sequence[Shard], folder: Path, notes: Mapping[str, object]) -> int:
    """Write index.json.

    Args:
        shards: in the order in which they are read.
        folder: that holds them.
        notes: "credit", "license" and the like.

    Returns:
        Samples in all shards.
    """
    count = sum(shard.count for shard in shards)
    index = {
        "format": FORMAT,
        "count": count,
        # One hash stands for all bytes, or there is none.
        **({"hash": _hash_all(shards)} if all(shard.sha256 for shard in shards) else {}),
        **notes,
        "shards": [_line(shard) for shard in shards],
    }
    partial = folder / f".{INDEX}.{os.getpid()}.partial"
    text = json.dumps(index, indent=1, ensure_ascii=False) + "\n"
    partial.write_text(text, encoding="utf-8", errors="backslashreplace")  # as in `columns`
    os.replace(partial, folder / INDEX)
    return count


def _hash_all(shards: Iterable[Shard]) -> str:
    digests = "".join(shard.sha256 for shard in shards)
    return hashlib.sha256(digests.encode("ascii")).hexdigest()


def _line(shard: Shard) -> dict[str, object]:
    said = {name: value for name, value in asdict(shard).items() if value != ""}
    del said["left_out"]
    return said
