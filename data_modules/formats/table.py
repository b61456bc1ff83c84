"""Tables with the columns image and caption, where JSON may have a list, maybe split and image_id.

Lists may be called captions as well. A row with a box stays a sample of its own:
others of its picture have boxes of theirs.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from data_modules.formats.group import Group, Rows, check_captions, is_text
from data_modules.identifiers import first_name
from softmask.errors import InputError

USED = ("image", "caption", "captions", "split", "image_id")


def read_csv(file: Path) -> Rows:
    """Read a CSV with a header line."""
    return _groups(_csv_rows(file), file)


def read_jsonl(file: Path) -> Rows:
    """Read JSON lines, an object on each."""
    return _groups(json_rows(file), file)


def read_parquet(file: Path) -> Rows:
    """Read a Parquet table."""
    return _groups(_parquet_rows(file), file)


def _groups(rows: Iterable[tuple[int, object]], file: Path) -> Rows:
    for number, row in rows:
        place = f"Row {number} of {file}"
        yield place, _group(row, place)


def _csv_rows(file: Path) -> Iterator[tuple[int, object]]:
    read = 0  # whole lines
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            # Strict: an unclosed quote would make one caption of the rest of the file.
            reader = csv.DictReader(lines, strict=True)
            read = reader.line_num if reader.fieldnames else 0  # these are read only when asked for
            for number, row in enumerate(reader, start=2):
                read = reader.line_num
                yield number, row
    except csv.Error as error:
        raise InputError(
            f"{file} cannot be read from line {read + 1} on ({error}): close the quote that opens "
            'there, and write a quote inside of quotes twice, "".'
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from error


def json_rows(file: Path) -> Iterator[tuple[int, object]]:
    """Give JSON lines with their numbers, empty ones left out.

    Raises:
        InputError: if one cannot be read.
    """
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, json.loads(line)
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(file, error) from error


def _parquet_rows(file: Path) -> Iterator[tuple[int, object]]:
    try:
        from pyarrow import parquet  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise InputError(
            f"{file} is Parquet, which needs pyarrow: pip install 'softmask[parquet]', or convert "
            "the table to .csv or .jsonl."
        ) from error
    try:
        batches = parquet.ParquetFile(file).iter_batches()
        yield from enumerate((row for batch in batches for row in batch.to_pylist()), start=1)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}): give a whole Parquet table.") from error


def _unreadable(file: Path, error: Exception) -> InputError:
    return InputError(f"{file} cannot be read ({error}): give a table in UTF-8.")


def _group(row: object, place: str) -> Group:
    if not isinstance(row, dict) or not row.get("image"):
        raise InputError(f"{place} has no image: give the columns image and caption.")
    if beyond := [text for text in row.get(None, ()) if text.strip()]:
        raise InputError(
            f"{place} has more fields than the header, the first is {beyond[0]!r:.80}: put texts "
            "that hold commas into quotes."
        )
    image, split = row["image"], row.get("split")
    if not isinstance(image, str | int):
        raise InputError(
            f"The image of {place[0].lower()}{place[1:]} is a {type(image).__name__}: give a file "
            "name, and the pictures as files."
        )
    captions = _captions(row, place)
    # CSV rows that end in commas or are too short have a column without name or value.
    meta = {
        name: _storable(value, name, place)
        for name, value in row.items()
        if name not in USED and name and value not in (None, "")
    }
    named = str(split) if split else None
    alike = first_name(row, "image_id")
    return Group(str(image), captions, named, meta, alike, apart=isinstance(meta.get("box"), list))


def _captions(row: dict[str, object], place: str) -> list[str]:
    several = row.get("captions")
    if is_text(several):
        raise InputError(
            f"{place} has the text {several!r:.80} in the column captions, which takes lists of "
            "texts: call the column caption, and give several captions in rows of their own."
        )
    found = several or row.get("caption")
    return check_captions(found if isinstance(found, list) else [found], place)


def _storable(value: object, name: str, place: str) -> object:
    """Give what a sample's json can hold: Parquet has dates and decimals as well."""
    if isinstance(value, bytes):
        raise InputError(
            f"{place} has bytes in the column {name!r}: leave the column out of the table."
        )
    try:
        json.dumps(value)
    except TypeError:
        return str(value)
    return value
