"""ALBEF's refcoco+_train.json: [{"image": ..., "text": ..., "ref_id": ...}, ...], without boxes."""

from pathlib import Path

from data_modules.formats.group import Group, Rows, is_text, load_json
from softmask.errors import InputError


def read_albef_refcoco(file: Path) -> Rows:
    """Read expressions to train on, a row apart for each.

    Raises:
        InputError: if it is another list.
    """
    rows = load_json(file)
    if not isinstance(rows, list):
        raise InputError(f"{file} is no list: give [{{image, text, ref_id}}, ...].")
    for number, row in enumerate(rows, start=1):
        place = f"Row {number} of {file}"
        if not isinstance(row, dict) or not all(is_text(row.get(n)) for n in ("image", "text")):
            raise InputError(f"{place} has no image or no text: give each row both.")
        meta = {"ref_id": row["ref_id"]} if "ref_id" in row else {}
        yield place, Group(row["image"], [row["text"]], None, meta, apart=True)
