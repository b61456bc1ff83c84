"""Find out how captions are written, from names and the first bytes."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from data_modules.contents import IMAGES
from data_modules.formats.group import visible
from data_modules.formats.refcoco import REFS
from data_modules.formats.vqa import without_dev
from data_modules.shards import tars_in
from softmask.errors import InputError

FOLDERS = ("img2dataset", "refcoco", "folders")
"""Formats that are a folder."""
SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
MARKS = {
    "snli_ve": (("sentence2", "gold_label"), ("image", "sentence", "label")),
    "nlvr2": (("sentence", "identifier", "left_url"), ("images", "sentence", "label")),
    "vqa": (("questions", "question_id", "data_subtype"),),
    "albef_vqa": (("image", "question", "dataset"),),
}
"""Keys that only the annotations of one task have, on lines or in a list."""
QUESTIONS = "[!.]*_OpenEnded_*_questions.json"
"""Files of a folder that hold VQA's samples; those beside them only tell more."""
HEAD = 1_000_000  # bytes in which an annotation file shows its keys


class Found(NamedTuple):
    """What was found: files of one format, and the sign of it."""

    format: str
    files: list[Path]
    saw: str


def detect(place: Path) -> Found:
    """Find the annotation files at a place and their format.

    Args:
        place: a file, or a folder with files of one format.

    Raises:
        InputError: if there is none, or several formats, or one that is not known.
    """
    if not place.is_dir():
        return Found(*_file(place))
    if any(place.glob(REFS)):
        return Found("refcoco", [place], f"it holds {REFS}")
    sign = _img2dataset(place)
    if sign:
        return Found("img2dataset", [place], sign)
    if files := _questions(place):
        return Found("vqa", files, f"it holds {files[0].name}")
    files = _ending_in((*SUFFIXES, ".json"), place)
    if not files:
        raise InputError(
            f"{place} holds no captions (.csv, .jsonl, .parquet, .json, or img2dataset's tars): "
            "name their file with --captions."
        )
    found = [_file(file) for file in files]
    formats = {format for format, _, _ in found}
    if len(formats) > 1:
        raise InputError(
            f"{place} holds captions in several formats ({', '.join(sorted(formats))}): name one "
            "file with --captions."
        )
    return Found(found[0][0], files, found[0][2])


def annotation_files(place: Path, format: str) -> list[Path]:
    """Give the files of a format at a place; some folders are one."""
    if format in FOLDERS or not place.is_dir():
        return [place]
    if format == "vqa" and (known := _questions(place)):
        return known
    wanted = [suffix for suffix, name in SUFFIXES.items() if name == format] or [".json"]
    if format in MARKS:
        wanted += [suffix for suffix, name in SUFFIXES.items() if name == "jsonl"]
    files = _ending_in(wanted, place)
    if not files:
        raise InputError(
            f"{place} holds no file of the format {format}: give the file itself with --captions."
        )
    return files


def _ending_in(suffixes: Collection[str], folder: Path) -> list[Path]:
    return [file for file in visible(folder) if file.suffix in suffixes]


def _questions(folder: Path) -> list[Path]:
    return without_dev(sorted(folder.glob(QUESTIONS)))


def _file(file: Path) -> tuple[str, list[Path], str]:
    lines = SUFFIXES.get(file.suffix) == "jsonl"
    if file.suffix in SUFFIXES and not (lines and _task(_head(file))):
        return SUFFIXES[file.suffix], [file], f"its name ends in {file.suffix}"
    if file.match(REFS):
        return "refcoco", [file], f"its name is {REFS}"
    if file.suffix != ".json" and not lines:
        raise InputError(
            f"{file} is neither .csv, .jsonl, .parquet nor .json, nor a folder: convert the "
            "captions to one of them, or name their --format."
        )
    head = _head(file)
    format, saw = _task(head) or _json(head, file)
    return format, [file], saw


def _head(file: Path) -> str:
    try:
        with file.open("rb") as data:
            return data.read(HEAD).decode("utf-8-sig", errors="replace").lstrip()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error}): give an existing file.") from error


def _task(head: str) -> tuple[str, str] | None:
    for format, marks in MARKS.items():
        for keys in marks:
            if all(f'"{key}"' in head for key in keys):
                return format, f"it has {', '.join(keys)}"
    return None


def _json(head: str, file: Path) -> tuple[str, str]:
    def has(*keys: str) -> bool:
        return all(f'"{key}"' in head for key in keys)

    if head.startswith("[") and has("image", "caption"):
        return "albef", "it is a list with image and caption"
    if head.startswith("[") and has("image", "text", "ref_id"):
        return "albef_refcoco", "it is a list with image, text and ref_id"
    if head.startswith("{") and has("images", "sentences"):
        return "karpathy", "it has images with sentences"
    if head.startswith("{") and has("images") and has("file_name"):
        return "coco", "it has images with file_name"
    if head.startswith("{") and has("annotations", "caption"):
        return "coco", "it has annotations with caption"
    if head.startswith("{") and has("image") and (has("caption") or has("captions")):
        return "jsonl", "it has image and caption on each line"
    raise InputError(
        f"{file} begins with {head[:40]!r} and fits no format that is known: name its --format, or "
        "convert the captions to .jsonl with image and caption."
    )


def _img2dataset(folder: Path) -> str | None:
    if tars := tars_in(folder):
        return f"it holds {len(tars)} tars"
    if any(folder.glob("[!.]*_stats.json")):
        return "it holds *_stats.json"
    with_texts = [place for place in visible(folder) if place.is_dir() and _has_pair(place)]
    return f"{len(with_texts)} folders hold pictures with .txt" if with_texts else None


def _has_pair(folder: Path) -> bool:
    # Texts alone, no Paths: there may be thousands of such folders with ten thousand files each.
    try:
        there = os.listdir(folder)
    except PermissionError:  # lost+found
        return False
    names = [name.rpartition(".") for name in there if not name.startswith(".")]
    texts = {stem for stem, _, ending in names if ending.lower() == "txt"}
    return any(stem in texts for stem, _, ending in names if ending.lower() in IMAGES)
