"""Real pictures with texts, converted whole; their own lists say what must come out."""

import json
import pickle
from collections import Counter

import torch
from real import unpacked

from data_modules import GroundingData
from data_modules.commands import main
from data_modules.contents import captions, meta
from data_modules.shards import ShardSet
from softmask.grounding import best_box
from softmask.metrics import box_iou


def convert(images, table, output, *flags):
    given = ["--images", images, "--captions", table, "--output", output, *flags]
    main(["write", *map(str, given)])
    found = {}
    for split in output.iterdir():
        shards = ShardSet(str(split))
        for position in range(len(shards)):
            sample = shards.read(position)
            found[meta(sample)["image"]] = split.name, captions(sample)
    return found


def test_coco_mini(tmp_path):
    folder = unpacked("coco_mini.tar", tmp_path / "in")
    table = folder / "annotations/captions_train2017.json"
    found = convert(folder / "train2017", table, tmp_path / "out")
    tree = json.loads(table.read_text())
    names = {image["id"]: image["file_name"].split("/")[-1] for image in tree["images"]}
    wanted = Counter((names[row["image_id"]], row["caption"]) for row in tree["annotations"])
    assert (len(found), wanted.total()) == (26, 130)
    assert Counter((name, text) for name, (_, texts) in found.items() for text in texts) == wanted


def test_coco_mini_as_grounding(tmp_path):
    """Category names as expressions of real boxes, in REFER's layout; maps of the boxes are right.

    A name is asked for where its picture holds one of the kind; all boxes are candidates.
    """
    folder = unpacked("coco_mini.tar", tmp_path / "in") / "annotations"
    table = folder / "instances_train2017.json"
    (folder / "instances.json").write_bytes(table.read_bytes())
    tree = json.loads(table.read_text())
    names = {kind["id"]: kind["name"] for kind in tree["categories"]}
    things = [one for one in tree["annotations"] if not one["iscrowd"]]
    of_kind = Counter((one["image_id"], one["category_id"]) for one in things)
    alone = [one for one in things if of_kind[one["image_id"], one["category_id"]] == 1]
    refs = [
        {
            "ref_id": number,
            "ann_id": one["id"],
            "image_id": one["image_id"],
            "split": ("val", "testA", "testB")[number % 3],
            "sentences": [{"sent": names[one["category_id"]], "raw": "", "sent_id": number}],
        }
        for number, one in enumerate(alone)
    ]
    (folder / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))
    boxes = {str(image["id"]): [] for image in tree["images"]}
    for one in things:
        boxes[str(one["image_id"])].append(one["bbox"])
    (folder / "dets.json").write_text(json.dumps(boxes))
    convert(folder.parent / "train2017", folder, tmp_path / "out", "--short_side", 64)
    shards = f"{tmp_path}/out/{{val,test}}/*.tar"
    data = GroundingData(test=shards, image_size=32, eval_batch_size=16, workers=0)
    data.setup("test")
    batches = list(data.test_dataloader())
    assert sum(len(batch["key"]) for batch in batches) == len(alone) > 50
    wanted = Counter(tuple(one["bbox"]) for one in alone)
    kept = Counter(tuple(round(x, 2) for x in box) for b in batches for box in b["box"].tolist())
    assert kept == wanted
    hits = [hit for batch in batches for hit in oracle(batch)]
    assert min(hits) > 0.95
    assert {name for batch in batches for name in batch["split"]} == {"val", "testA", "testB"}


def oracle(batch):
    """How well a map of the true box's pixels chooses among the candidates: IoU a sample."""
    for box, size, boxes in zip(batch["box"], batch["size"], batch["detections"], strict=True):
        width, height = size.tolist()
        x, y, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
        saliency = torch.zeros(height, width)
        saliency[int(y) : int(bottom), int(x) : int(right)] = 1
        yield box_iou(best_box(saliency, boxes), box).item()


def test_openstax(tmp_path):
    folder = unpacked("openstax_ccby.tar", tmp_path / "in")
    table = folder / "captions.jsonl"
    flags = ("--short_side", 0, "--workers", 2, "--credit", "OpenStax")
    found = convert(folder / "images", table, tmp_path / "out", *flags)
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    assert found == {row["image"]: (row["split"], row["captions"]) for row in rows}
    assert Counter(split for split, _ in found.values()) == {"train": 2654, "val": 304, "test": 354}
    assert sum(len(texts) for _, texts in found.values()) == 6022
