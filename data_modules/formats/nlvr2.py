"""NLVR2: its own JSON lines, and ALBEF's nlvr_*.json.

{"sentence": ..., "label": ..., "identifier": "dev-850-0-1"} on each line, of the pictures
dev-850-0-img0.png and dev-850-0-img1.png; or [{"images": [..., ...], "sentence", "label"}].
"""

from pathlib import Path

from data_modules.formats.group import Group, Rows, check_captions, is_text
from data_modules.formats.rows import Row, split_in, task_rows
from softmask.errors import InputError


def read_nlvr2(file: Path) -> Rows:
    """Read sentences with two pictures each; their names tell the split.

    Raises:
        InputError: if a row has no two pictures or no sentence.
    """
    for place, row in task_rows(file):
        yield place, _group(row, place)


def _group(row: Row, place: str) -> Group:
    captions = check_captions([row.get("sentence")], place)
    meta = {key: row[key] for key in ("label", "synset") if row.get(key) is not None}
    if "images" in row:
        left, right = _listed(row["images"], place)
    else:
        identifier = _identifier(row, place)
        name, _, sentence = identifier.rpartition("-")
        folder = f"{row['directory']}/" if "directory" in row else ""  # of training pictures
        left, right = (f"{folder}{name}-img{number}.png" for number in (0, 1))
        # A set of pairs shares its sentences: all but the pair names one (NLVR2's own script).
        meta |= {"identifier": identifier, "sentence_id": f"{name.rpartition('-')[0]}-{sentence}"}
    return Group(left, captions, split_in(left), meta, second=right, apart=True)


def _listed(images: object, place: str) -> tuple[str, str]:
    if not isinstance(images, list) or len(images) != 2 or not all(map(is_text, images)):
        raise InputError(f"{place} has the images {images!r}: give the names of two pictures.")
    return images[0], images[1]


def _identifier(row: Row, place: str) -> str:
    identifier = row.get("identifier")
    if not isinstance(identifier, str) or identifier.count("-") != 3:
        raise InputError(
            f"{place} has the identifier {identifier!r}: give one such as 'dev-850-0-1' (split, "
            "set, pair, sentence), or a list of images."
        )
    return identifier
