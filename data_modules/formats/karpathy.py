"""Karpathy's dataset_coco.json, dataset_flickr30k.json and dataset_flickr8k.json.

{"images": [{"filepath", "filename", "split", "sentences": [{"raw"}], "imgid", "cocoid"}]}
"""

from pathlib import Path
from typing import Any

from data_modules.formats.group import Group, Rows, check_captions, load_json
from softmask.errors import InputError

# The rest of COCO's validation pictures: every paper trains on them.
SPLITS = {"restval": "train"}


def read_karpathy(file: Path) -> Rows:
    """Read Karpathy's splits of COCO, Flickr30k or Flickr8k.

    Raises:
        InputError: if it is another file.
    """
    tree = load_json(file)
    try:
        images = tree["images"]  # type: ignore[index]
        for number, image in enumerate(images, start=1):
            place = f"The picture {number} of {file}"
            yield place, _group(image, place)
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} is no file of Karpathy's splits (it lacks {error}): give a dataset_*.json or "
            "another --format."
        ) from error


def _group(image: dict[str, Any], place: str) -> Group:
    # COCO has its pictures in two folders, Flickr in one.
    name = "/".join(part for part in (image.get("filepath"), image["filename"]) if part)
    captions = check_captions([sentence["raw"] for sentence in image["sentences"]], place)
    meta = {"coco_id": image["cocoid"]} if "cocoid" in image else {}
    split = SPLITS.get(image["split"], image["split"])
    # Some sentences end in a line break.
    return Group(name, [text.strip() for text in captions], split, meta)
