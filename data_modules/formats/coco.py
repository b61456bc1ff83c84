"""COCO's captions_*.json: {"images": [{id, file_name}], "annotations": [{image_id, caption}]}."""

from collections import Counter, defaultdict
from collections.abc import Collection
from pathlib import Path

from data_modules.formats.group import Group, Rows, by_id, check_captions, load_json
from softmask.errors import InputError


def read_coco(file: Path) -> Rows:
    """Read COCO captions; pictures without one are left out, and it says how many.

    Raises:
        InputError: if it is another file, or a caption belongs to no picture.
    """
    tree = load_json(file)
    if not isinstance(tree, dict):
        raise _other(file, "its outermost value is no object")
    try:
        listed = ((image["id"], image["file_name"]) for image in tree["images"])
        names = by_id(listed, f"The pictures of {file}")
        captions = defaultdict(list)
        said = (
            (row.get("id", f"row {number}"), (row["image_id"], row["caption"]))
            for number, row in enumerate(tree["annotations"])
        )
        for number, caption in by_id(said, f"The annotations of {file}").values():
            captions[number].append(caption)
    except (AttributeError, KeyError, TypeError) as error:
        raise _other(file, f"it lacks {error}") from error
    _refuse_repeated(names.values(), file)
    lost = captions.keys() - names.keys()
    if lost:
        raise InputError(
            f"{file} has captions for {len(lost)} pictures that it does not list, the first is "
            f"image_id {min(lost, key=str)}: mend the file."
        )
    if len(captions) < len(names):
        print(f"{file}: {len(names) - len(captions)} pictures have no caption and are left out")
    for number, name in names.items():
        if number in captions:
            place = f"The picture {number} of {file}"
            texts = check_captions(captions[number], place)
            yield place, Group(str(name), texts, None, {"coco_id": number})


def _refuse_repeated(names: Collection[object], file: Path) -> None:
    name, count = Counter(map(str, names)).most_common(1)[0] if names else ("", 0)
    if count > 1:
        raise InputError(
            f"{file} lists the picture {name!r} under {count} ids: give each picture one id, that "
            f"of its captions."
        )


def _other(file: Path, reason: str) -> InputError:
    return InputError(
        f"{file} holds no COCO captions ({reason}): give a captions_*.json or another --format."
    )
