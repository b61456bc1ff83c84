"""What img2dataset leaves: tars (its "webdataset") or folders (its "files") of jpg, txt, json."""

import json
import tarfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from data_modules.ends import check_end
from data_modules.formats.group import Group, Rows, Stored, is_text
from data_modules.write import EXTENSIONS
from softmask.errors import InputError

# Of the download, not of the picture.
DROPPED = ("caption", "key", "status", "error_message", "exif")


class Part(NamedTuple):
    """One file of a sample, in a tar or alone; text is read at once, a picture later."""

    name: str  # "00000/000000012.jpg"
    stored: Stored
    text: bytes


def read_img2dataset(folder: Path) -> Rows:
    """Read a folder of img2dataset, or any tars of pictures with txt.

    Pictures without a caption are left out, and it says how many.

    Raises:
        InputError: if there is none of both, or a tar is broken.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give the one that img2dataset wrote.")
    tars = sorted(folder.glob("*.tar"))
    places = tars or sorted(place for place in folder.iterdir() if place.is_dir())
    without = 0
    for place in places:
        parts = _in_tar(place) if tars else _in_folder(place)
        for key, members in groupby(parts, key=lambda part: part.name.rpartition(".")[0]):
            group = _group(members)
            if group is None:
                continue
            without += not group.captions
            if group.captions:
                yield f"The sample {key} of {folder}", group
    if without:
        print(f"{folder}: {without} pictures have no caption and are left out")


def _in_tar(file: Path) -> Iterator[Part]:
    try:
        check_end(file)
        with tarfile.open(file, mode="r:") as tar:
            for info in tar:
                if info.isreg():
                    stored = Stored(file, info.offset_data, info.size)
                    name = f"{file.stem}/{PurePosixPath(info.name)}"  # without a "./"
                    yield Part(name, stored, _text(name, stored))
    except (tarfile.TarError, OSError) as error:
        raise InputError(
            f"{file} is no whole, uncompressed tar ({error}): download it again or remove it."
        ) from error


def _in_folder(folder: Path) -> Iterator[Part]:
    for file in sorted(file for file in folder.iterdir() if file.is_file()):
        stored = Stored(file, 0, file.stat().st_size)
        name = f"{folder.name}/{file.name}"
        yield Part(name, stored, _text(name, stored))


def _text(name: str, stored: Stored) -> bytes:
    if not name.lower().endswith((".txt", ".json")):
        return b""
    with stored.file.open("rb") as data:
        data.seek(stored.offset)
        return data.read(stored.size)


def _group(members: Iterable[Part]) -> Group | None:
    """Make a group of a sample's parts; its captions are empty if it has none."""
    columns = {part.name.rpartition(".")[2].lower(): part for part in members}
    pictures = [columns[extension] for extension in EXTENSIONS if extension in columns]
    if not pictures:
        return None
    image = pictures[0]
    meta = _meta(columns["json"]) if "json" in columns else {}
    caption = _decode(columns["txt"]) if "txt" in columns else meta.get("caption")
    kept = {
        name: value
        for name, value in meta.items()
        if name not in DROPPED and value not in (None, "")
    }
    captions = [str(caption)] if is_text(caption) else []
    return Group(image.name, captions, None, kept, None, image.stored)


def _meta(part: Part) -> dict[str, object]:
    text = _decode(part)
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{part.name} of {part.stored.file} is no JSON: mend it.") from error
    if not isinstance(meta, dict):
        raise InputError(f"{part.name} of {part.stored.file} is no object: mend it.")
    return meta


def _decode(part: Part) -> str:
    try:
        return part.text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{part.name} of {part.stored.file} is no UTF-8: mend it.") from error
