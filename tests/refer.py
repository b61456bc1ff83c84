"""RefCOCO+ as REFER lays it out, field by field, and grounding samples on fake pictures."""

import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
from fake import COLOURS, draw
from schemas import picture

from data_modules.write import Pair, write_shards

SPLITS = ("train", "train", "train", "val", "testA", "testB")
SENTENCES = 2


def box_of(number: int) -> list[float]:
    return [3.0 + number, 5.5, 20.25, 11.0]


def write_refer(folder: Path, splits: Sequence[str] = SPLITS, *, dets: bool = True) -> Path:
    """refs(unc).p, instances.json and dets.json: a reference a picture, with two sentences each."""
    folder.mkdir(parents=True, exist_ok=True)
    refs = [reference(number, split) for number, split in enumerate(splits)]
    # Python 2 wrote them; protocol 2 is the newest it knew.
    (folder / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))
    images = [
        {
            "license": 1,
            "file_name": name_of(number),
            "coco_url": f"http://mscoco.org/images/{image_id(number)}",
            "height": 40 + number,
            "width": 40 + number,
            "date_captured": "2013-11-14 17:02:52",
            "flickr_url": "http://farm9.staticflickr.com/8016/7512446724_4ce65e4ef6_z.jpg",
            "id": image_id(number),
        }
        for number in range(len(splits))
    ]
    annotations = [
        {
            "segmentation": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]],
            "area": 12.5,
            "iscrowd": 0,
            "image_id": image_id(number),
            "bbox": box_of(number),
            "category_id": 1,
            "id": 7000 + number,
        }
        for number in range(len(splits))
    ]
    categories = [{"supercategory": "person", "id": 1, "name": "person"}]
    tree = {"info": {}, "images": images, "licenses": [], "annotations": annotations}
    (folder / "instances.json").write_text(json.dumps({**tree, "categories": categories}))
    if dets:
        found = {
            str(image_id(number)): [[*box_of(number), 0.98], [0.0, 0.0, 9.0, 9.0, 0.4]]
            for number in range(len(splits))
        }
        (folder / "dets.json").write_text(json.dumps(found))
    return folder


def reference(number: int, split: str) -> dict[str, Any]:
    sentences = [
        {
            "tokens": f"ref {number} way {way}".split(),
            "raw": f"REF {number} WAY {way}",
            "sent_id": SENTENCES * number + way,
            "sent": f"ref {number} way {way}",
        }
        for way in range(SENTENCES)
    ]
    return {
        "sent_ids": [sentence["sent_id"] for sentence in sentences],
        "file_name": name_of(number).replace(".jpg", "_0.jpg"),
        "ann_id": 7000 + number,
        "ref_id": 300 + number,
        "image_id": image_id(number),
        "split": split,
        "sentences": sentences,
        "category_id": 1,
    }


def image_id(number: int) -> int:
    return 581800 + number


def name_of(number: int) -> str:
    return f"COCO_train2014_{image_id(number):012d}.jpg"


def write_train2014(folder: Path, count: int = len(SPLITS)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / name_of(number)).write_bytes(picture(number))
    return folder


def grounded_pairs(
    count: int, notes: Mapping[str, Any] | None = None, size: int = 32
) -> Iterator[Pair]:
    """A square on one side of each picture, its box, and boxes to choose from."""
    names = list(COLOURS)
    for number in range(count):
        colour, ground = names[number % 6], names[(number + 1 + number // 6) % 6]
        place = ("left", "right")[number % 2]
        pixels = draw(colour, "square", place, ground, size)
        data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
        middle = {"left": size // 3, "right": 2 * size // 3}
        side = 2 * (size // 4)
        boxes = {where: [x - side // 2, size // 4, side, side] for where, x in middle.items()}
        meta = {
            "ref_id": number,
            "box": boxes[place],
            "size": [size, size],
            "detections": [*boxes.values(), [0, 0, 5, 5]][number % 2 :],
            "split": ("val", "testA")[number % 3 > 0],
            **(notes or {}),
        }
        meta = {name: value for name, value in meta.items() if value is not None}
        yield Pair(f"g-{number:05d}", data, "png", [f"the {colour} square"], meta)


def write_grounding(folder: Path, count: int, seed: int) -> None:  # noqa: ARG001 (a corpus's)
    """Samples with boxes."""
    write_shards(grounded_pairs(count), folder, shard_size=4)
