"""ALBEF's lists: [{"image": ..., "caption": a text or a list of them, "image_id": ...}, ...]."""

from pathlib import Path

from data_modules.formats.group import Group, Rows, check_captions, load_json
from data_modules.identifiers import first_name
from softmask.errors import InputError

USED = ("image", "caption", "image_id")


def read_albef(file: Path) -> Rows:
    """Read a list as ALBEF, TCL and BLIP train and evaluate on.

    Raises:
        InputError: if it is another list.
    """
    rows = load_json(file)
    if not isinstance(rows, list):
        raise InputError(
            f"{file} is no list as ALBEF has them: give [{{image, caption}}, ...] or another "
            "--format."
        )
    for number, row in enumerate(rows, start=1):
        place = f"Row {number} of {file}"
        yield place, _group(row, place)


def _group(row: object, place: str) -> Group:
    if not isinstance(row, dict) or not isinstance(row.get("image"), str) or not row["image"]:
        raise InputError(f"{place} has no image: give each row an image and a caption.")
    caption = row.get("caption")
    captions = check_captions(caption if isinstance(caption, list) else [caption], place)
    meta = {name: value for name, value in row.items() if name not in USED}
    # Train lists number their pictures as they like; rows of one number are one picture.
    return Group(row["image"], captions, None, meta, first_name(row, "image_id"))
