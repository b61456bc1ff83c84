"""What img2dataset leaves: tars (its "webdataset") or folders (its "files") of jpg, txt, json."""

import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from data_modules.contents import IMAGES
from data_modules.ends import check_end
from data_modules.formats.group import Group, Rows, Stored, is_text, visible
from data_modules.identifiers import first_name
from data_modules.shards import tars_in
from data_modules.tar import is_meta
from softmask.errors import InputError

# Of the download, not of the picture.
DROPPED = ("caption", "key", "status", "error_message", "exif")
ASKED = ("answers", "label")
"""What tasks are taught, which read the txt and no captions of the json."""


class Part(NamedTuple):
    """One file of a sample, in a tar or alone; text is read at once, a picture later."""

    name: str  # "00000/000000012.jpg"
    stored: Stored
    text: bytes


def read_img2dataset(folder: Path) -> Rows:
    """Read a folder of img2dataset, or any tars of pictures with txt.

    Pictures without a caption, and samples without a picture, are left out; it says how many.

    Raises:
        InputError: if there is none of both, a tar is broken, or a sample has several pictures.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give the one that img2dataset wrote.")
    tars = tars_in(folder)
    places = tars or [place for place in visible(folder) if place.is_dir()]
    lost: Counter[str] = Counter()
    for place in places:
        parts = _in_tar(place) if tars else _in_folder(place)
        for key, members in groupby(parts, key=lambda part: part.name.rpartition(".")[0]):
            sample = f"The sample {key} of {folder}"
            group = _group(members, sample)
            if group is None:
                lost[f"samples have no picture that is read ({', '.join(IMAGES)})"] += 1
            elif not group.captions:
                lost["pictures have no caption"] += 1
            else:
                yield sample, group
    for what, count in lost.items():
        print(f"{folder}: {count} {what} and are left out")


def _in_tar(file: Path) -> Iterator[Part]:
    try:
        check_end(file)
        with tarfile.open(file, mode="r:") as tar:
            for info in tar:
                if info.isreg() and not is_meta(info.name):
                    stored = Stored(file, info.offset_data, info.size)
                    name = f"{file.stem}/{PurePosixPath(info.name)}"  # without a "./"
                    yield Part(name, stored, _text(name, stored))
    except (tarfile.TarError, OSError) as error:
        raise InputError(
            f"{file} is no whole, uncompressed tar ({error}): download it again or remove it."
        ) from error


def _in_folder(folder: Path) -> Iterator[Part]:
    for file in (file for file in visible(folder) if file.is_file()):
        stored = Stored(file, 0, file.stat().st_size)
        name = f"{folder.name}/{file.name}"
        yield Part(name, stored, _text(name, stored))


def _text(name: str, stored: Stored) -> bytes:
    if not name.lower().endswith((".txt", ".json")):
        return b""
    with stored.file.open("rb") as data:
        data.seek(stored.offset)
        return data.read(stored.size)


def _group(members: Iterable[Part], sample: str) -> Group | None:
    """Make a group of a sample's parts; its captions are empty if it has none.

    Raises:
        InputError: if it has several pictures, which training refuses too.
    """
    parts = [(part.name.rpartition(".")[2].lower(), part) for part in members]
    pictures = [part for extension, part in parts if extension in IMAGES]
    if not pictures:
        return None
    if len(pictures) > 1:
        raise InputError(
            f"{sample} has {len(pictures)} pictures, {' and '.join(p.name for p in pictures)}, and "
            "nothing tells which of them the caption is about: keep one of them."
        )
    (image,) = pictures
    columns = dict(parts)
    meta = _meta(columns["json"]) if "json" in columns else {}
    captions = _captions(_decode(columns["txt"]) if "txt" in columns else None, meta)
    alike = first_name(meta, "image_id")
    kept = {
        name: value
        for name, value in meta.items()
        if name not in (*DROPPED, "image_id") and value not in (None, "")
    }
    return Group(image.name, captions, None, kept, alike, image.stored)


def _captions(text: str | None, meta: dict[str, object]) -> list[str]:
    """Give the captions that training reads; those of the json leave it, for they are written anew.

    Args:
        text: the txt, if there is one.
        meta: the json.
    """
    found = meta.get("captions")
    if isinstance(found, list) and found and all(isinstance(caption, str) for caption in found):
        # A task's text is none of its picture's captions: a question, a statement.
        asked = text is not None and text not in found and bool(meta.keys() & ASKED)
        if not asked:
            del meta["captions"]
            return [caption for caption in found if caption.strip()]
    caption = meta.get("caption") if text is None else text
    return [str(caption)] if is_text(caption) else []


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
        return part.text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{part.name} of {part.stored.file} is no UTF-8: mend it.") from error
