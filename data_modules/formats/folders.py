"""A folder of a folder a class: cat/1.jpg, dog/2.jpg, as ImageNet has its pictures."""

from pathlib import Path

from data_modules.formats.group import Group, Rows
from softmask.errors import InputError

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def read_folders(folder: Path) -> Rows:
    """Read pictures whose label is their folder's name, which is their caption too.

    It says how much in these folders is no picture that is read. Hidden names are passed over.

    Raises:
        InputError: if no folder in it holds a picture.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give --images one that holds a folder a class.")
    found = sorted(folder.glob("[!.]*/[!.]*"))  # not .ipynb_checkpoints, not macOS's ._1.jpg
    files = [file for file in found if file.suffix.lower() in PICTURES]
    if not files:
        raise InputError(
            f"{folder} holds no folders with pictures ({', '.join(PICTURES)}): give --images one "
            f"that holds a folder a class."
        )
    _tell_others([file for file in found if file.suffix.lower() not in PICTURES], folder)
    for file in files:
        label = file.parent.name
        name = f"{label}/{file.name}"
        # Apart: pictures of one class share a caption and nothing else.
        group = Group(name, [label.replace("_", " ")], None, {"label": label}, apart=True)
        yield f"The picture {name} of {folder}", group


def _tell_others(others: list[Path], folder: Path) -> None:
    if others:
        print(
            f"{folder}: {len(others)} entries of its folders are no pictures that are read "
            f"({', '.join(PICTURES)}) and are left out, the first is "
            f"{others[0].relative_to(folder)}"
        )
