"""Files that are whole or not there, whenever their writer is killed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file that gets its name when it is whole and on the disk."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            write(file)
        replace_whole(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def replace_whole(partial: Path, path: Path) -> None:
    """Give a finished file its name, once its bytes are on the disk."""
    with partial.open("rb") as file:  # some file systems rename before they write
        os.fsync(file.fileno())
    os.replace(partial, path)


def write_text_whole(path: Path, text: str) -> None:
    """The same of a text; what is no UTF-8 in names and captions becomes a "?"."""
    data = text.encode("utf-8", errors="replace")
    write_whole(path, lambda file: file.write(data))
