"""Rows of a task's annotations: official files have a JSON object a line, ALBEF's are one list."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_modules.formats.group import load_json
from data_modules.formats.table import json_rows
from softmask.errors import InputError

SPLITS = {"train": "train", "dev": "val", "val": "val", "test": "test"}
"""Our splits by the words that official names have for them."""

Row = dict[str, Any]


def task_rows(file: Path) -> Iterator[tuple[str, Row]]:
    """Give objects with their places for an error, of a list or of lines.

    Raises:
        InputError: if the file cannot be read, or a row is no object.
    """
    found = enumerate(_list(file), start=1) if _is_list(file) else json_rows(file)
    for number, row in found:
        place = f"Row {number} of {file}"
        if not isinstance(row, dict):
            raise InputError(f"{place} is no JSON object: mend it or name another --format.")
        yield place, row


def split_in(name: str) -> str | None:
    """Tell the split that a name such as snli_ve_dev, ve_test.json or dev-850-0 speaks of."""
    words = Path(name).name.replace(".", "-").replace("_", "-").lower().split("-")
    found = {split for word in words if (split := SPLITS.get(word.rstrip("0123456789")))}
    return found.pop() if len(found) == 1 else None


def _is_list(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as text:
            return text.read(1000).lstrip().startswith("[")
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error}): give an existing file.") from error


def _list(file: Path) -> list[object]:
    tree = load_json(file)
    assert isinstance(tree, list), file
    return tree
