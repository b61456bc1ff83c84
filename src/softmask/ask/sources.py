"""What there is to embed: pictures of a folder, or pictures and texts of a table or of shards.

A source has places, in an order that never changes; each holds no, one or several things.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from softmask.ask.tables import columns_of, read_rows
from softmask.errors import InputError
from softmask.pictures import Pixels, read_picture

Kind = Literal["images", "texts"]
What = Literal["images", "texts", "both"]
COLUMNS: Mapping[Kind, str] = {"images": "image", "texts": "text"}
"""Of tables."""
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


class UnreadableError(InputError):
    """A single thing of a source that cannot be read; the others can."""


class Thing(NamedTuple):
    """A picture or a text to embed."""

    key: str  # name of a picture, or the text itself
    at: int  # its place in the source
    pixels: Callable[[], Pixels] | None = (
        None  # reads a picture; UnreadableError if it cannot be read
    )


class Source(NamedTuple):
    """Pictures, or texts."""

    kind: Kind
    places: int
    root: str  # folder that names are relative to, or the shards
    read: Callable[[int], Sequence[Thing]]
    hash: str  # of all names
    files: str = ""  # sizes and times of pictures, hashed; shards know their bytes


def folder_source(folder: Path) -> Source:
    """All pictures of a folder and of those in it, by name.

    Raises:
        InputError: there is none.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder '{folder}': correct the path.")
    found = (path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    inside = (path.relative_to(folder) for path in found if path.is_file())
    # Not macOS's ._1.jpg, not .ipynb_checkpoints.
    names = sorted(x.as_posix() for x in inside if not any(p.startswith(".") for p in x.parts))
    if not names:
        raise InputError(
            f"'{folder}' holds no picture ({', '.join(ENDINGS)}): give a folder of pictures."
        )
    return _pictures(names, folder)


def wanted(there: Sequence[Kind], what: What) -> list[Kind]:
    """What is wanted of that which is there.

    Raises:
        InputError: nothing.
    """
    kinds = [kind for kind in there if what in ("both", kind)]
    if not kinds:
        raise InputError(f"There are no {what} in this source: give --what {there[0]}.")
    return kinds


def table_sources(table: Path, images: Path | None, what: What = "both") -> list[Source]:
    """The distinct pictures and texts of a table's columns image and text.

    Args:
        table: .csv or .jsonl with one of the columns or both.
        images: folder that picture names are relative to; the table's own unless given.
        what: is wanted; another column may hold anything, and its pictures are not looked for.

    Raises:
        InputError: the table cannot be read, or lacks the columns.
    """
    columns = columns_of(table)
    there = [kind for kind, column in COLUMNS.items() if column in columns]
    if not there:
        raise InputError(
            f"{table} has neither a column 'image' nor 'text', but "
            f"{', '.join(columns)}: name its columns so."
        )
    kinds = wanted(there, what)
    rows = read_rows(table, [COLUMNS[kind] for kind in kinds])
    root = table.parent if images is None else images
    sources = []
    for kind in kinds:
        distinct = list(dict.fromkeys(row[COLUMNS[kind]] for row in rows))
        sources.append(_pictures(distinct, root) if kind == "images" else _texts(distinct))
    return sources


def _read(path: Path) -> Pixels:
    try:
        return read_picture(path)
    except InputError as error:
        raise UnreadableError(str(error)) from error


def _pictures(names: list[str], root: Path) -> Source:
    def read(at: int) -> list[Thing]:
        return [Thing(names[at], at, partial(_read, root / names[at]))]

    files = _hash([_state(root / name) for name in names])
    return Source("images", len(names), str(root.resolve()), read, _hash(names), files)


def _state(path: Path) -> str:
    """What changes with a file, as make and rsync judge: its bytes would be read twice."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # a name that no file can have is a ValueError
        return "none"  # who reads it says why
    return f"{found.st_size} {found.st_mtime_ns}"


def _texts(texts: list[str]) -> Source:
    return Source("texts", len(texts), "", lambda at: [Thing(texts[at], at)], _hash(texts))


def _hash(names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{len(name)} {name}\n".encode("utf-8", errors="surrogatepass"))
    return digest.hexdigest()
