"""SNLI-VE: its own JSON lines, and ALBEF's ve_*.json.

{"Flickr30K_ID": ..., "sentence2": ..., "gold_label": ..., "pairID": ...} on each line, or
[{"image": ..., "sentence": ..., "label": ...}]. Pictures are Flickr30K's, named by number.
"""

from pathlib import Path

from data_modules.formats.group import Group, Rows, check_captions
from data_modules.formats.rows import Row, split_in, task_rows
from softmask.errors import InputError

# Releases spell it in several ways.
PICTURES = ("Flikr30kID", "Flickr30kID", "Flickr30K_ID", "image")


def read_snli_ve(file: Path) -> Rows:
    """Read hypotheses, each a sample of its own; the file's name tells the split.

    Raises:
        InputError: if a row has no picture or no hypothesis.
    """
    for place, row in task_rows(file):
        yield place, _group(row, place, split_in(file.stem))


def _group(row: Row, place: str, split: str | None) -> Group:
    name = next((row[key] for key in PICTURES if row.get(key)), None)
    if not isinstance(name, str | int):
        raise InputError(f"{place} names no picture: give a Flickr30K_ID, or an image.")
    image = str(name) if str(name).lower().endswith(".jpg") else f"{name}.jpg"
    captions = check_captions([row.get("sentence2", row.get("sentence"))], place)
    meta = {"label": row.get("gold_label", row.get("label")), "identifier": row.get("pairID")}
    known = {key: value for key, value in meta.items() if value is not None}
    return Group(image, captions, split, known, apart=True)
