"""A folder of a folder a class: cat/1.jpg, dog/2.jpg, as ImageNet has its pictures."""

from pathlib import Path

from data_modules.formats.group import Group, Rows
from softmask.errors import InputError

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def read_folders(folder: Path) -> Rows:
    """Read pictures whose label is their folder's name, which is their caption too.

    Raises:
        InputError: if no folder in it holds a picture.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give --images one that holds a folder a class.")
    files = [file for file in sorted(folder.glob("*/*")) if file.suffix.lower() in PICTURES]
    if not files:
        raise InputError(
            f"{folder} holds no folders with pictures ({', '.join(PICTURES)}): give --images one "
            f"that holds a folder a class."
        )
    for file in files:
        label = file.parent.name
        name = f"{label}/{file.name}"
        # Apart: pictures of one class share a caption and nothing else.
        group = Group(name, [label.replace("_", " ")], None, {"label": label}, apart=True)
        yield f"The picture {name} of {folder}", group
