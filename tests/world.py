"""A folder in which the commands of the pages can be run: every file that they name, tiny."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import cv2
import official
from asked import ANSWERS, TEXTS, write_model, write_pictures, write_table
from corpora import write_corpus
from documented import REPO
from fake import COLOURS, SHAPES, draw
from refer import write_refer, write_train2014
from schemas import picture, write_karpathy

DATA = {
    **{"emoji": "pretrain", "pretrain": "pretrain", "coco": "retrieval", "flickr30k": "retrieval"},
    **{"vqa": "vqa", "nlvr2": "nlvr2", "snli_ve": "snli_ve", "refcoco": "grounding"},
    "classes": "zeroshot",
}
"""Data sets of conf/data by the corpora that stand for them."""
SPLITS = ("train", "train", "train", "train", "val", "test")
WIDE = {768: 64, 2304: 192, 3072: 256}
"""Widths of the narrow official file: one head of 64, as the command takes them unless told."""


def build_world(folder: Path, run: Path) -> Path:
    """Fill a folder.

    Args:
        folder: to be made.
        run: a finished run of pretraining.
    """
    folder.mkdir()
    (folder / "conf").symlink_to(REPO / "conf")
    for write in (_data, _sources, _pictures):
        write(folder)
    _models(folder, run)
    return folder


def copied(world: Path, folder: Path) -> Path:
    """A world of a page's own; what is large is linked."""
    shutil.copytree(world, folder, symlinks=True)
    return folder


def _data(folder: Path) -> None:
    for name, task in DATA.items():
        write_corpus(task, folder / "data" / name)
    (folder / "data/vqa/answers.json").write_text(json.dumps([*COLOURS, "2"]))
    (folder / "data/classes/classes.json").write_text(json.dumps(SHAPES))
    shutil.copytree(folder / "data/pretrain/train", folder / "tars")
    (folder / "tars/index.json").unlink()  # as others leave them


def _sources(folder: Path) -> None:
    """Data sets as their makers publish them."""
    names = [f"{number:06d}.jpg" for number in range(len(SPLITS))]
    write_karpathy(folder / "dataset_coco.json", names, SPLITS, "val2014")
    _drawn(folder / "coco/val2014", names)
    _vqa(folder)
    _nlvr2(folder / "nlvr2")
    _snli_ve(folder)
    write_refer(folder / "refcoco+")
    write_train2014(folder / "train2014")
    for name in SHAPES:
        _drawn(folder / "imagenet/val" / name, names[:2])


def _drawn(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_bytes(picture(number, extension=Path(name).suffix))


def _vqa(folder: Path) -> None:
    (folder / "vqa").mkdir()
    for first, part in enumerate(("train2014", "val2014")):
        rows = [
            {"image_id": n, "question": f"What is {n}?", "question_id": 100 * first + n}
            for n in range(4)
        ]
        told = [
            {**row, "question_type": "what is", "answers": [{"answer": c} for c in COLOURS]}
            for row in rows
        ]
        for kind, key, found in (
            ("v2_OpenEnded_mscoco_{}_questions.json", "questions", rows),
            ("v2_mscoco_{}_annotations.json", "annotations", told),
        ):
            tree = {"data_subtype": part, key: found}
            (folder / "vqa" / kind.format(part)).write_text(json.dumps(tree))
        _drawn(folder / "coco" / part, [f"COCO_{part}_{n:012d}.jpg" for n in range(4)])


def _nlvr2(folder: Path) -> None:
    (folder / "annotations").mkdir(parents=True)
    for split, name in (("train", "train"), ("dev", "dev"), ("test1", "test1")):
        rows = [
            {"identifier": f"{name}-{n}-0-0", "sentence": f"both are {n}", "label": "True"}
            for n in range(3)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "annotations" / f"{split}.json").write_text(lines)
        _drawn(folder, [f"{name}-{n}-0-img{side}.png" for n in range(3) for side in (0, 1)])


def _snli_ve(folder: Path) -> None:
    (folder / "snli_ve").mkdir()
    _drawn(folder / "flickr30k-images", ["1.jpg", "2.jpg"])
    for split in ("train", "dev", "test"):
        rows = [
            {"Flickr30K_ID": "1", "sentence2": "It rains.", "gold_label": "neutral"},
            {"Flickr30K_ID": "2", "sentence2": "It is red.", "gold_label": "entailment"},
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "snli_ve" / f"snli_ve_{split}.jsonl").write_text(lines)


def _pictures(folder: Path) -> None:
    names = write_pictures(folder / "pictures")
    rows = list(zip(names, TEXTS, strict=False))
    more = [f"more-{number}.png" for number in range(16)]  # of 26 a share of 0.02 is one
    _drawn(folder / "pictures", more)
    told = [*rows, *((name, f"picture {name}") for name in more)]
    write_table(folder / "captions.csv", told, ("image", "caption"))
    write_table(folder / "pairs.csv", rows[:3])
    _drawn(folder / "pictures/images", ["a.png", "b.png"])
    lines = [json.dumps({"image": name, "caption": name}) for name in ("a.png", "b.png")]
    (folder / "pictures/captions.jsonl").write_text("\n".join(lines))
    _own_tasks(folder, names)
    for name in ("cat", "left", "right"):
        pixels = draw("red", "square", "left", "white", 48)
        cv2.imwrite(str(folder / f"{name}.jpg"), pixels)


def _own_tasks(folder: Path, names: list[str]) -> None:
    """Questions and expressions about the pictures, as one writes them oneself."""
    (folder / "questions").mkdir()
    boxes = []
    for name, split in zip(names, ("train", "val", "test"), strict=False):
        row = {"image": name, "question": f"what is {name}?", "answer": "red"}
        (folder / f"questions/my_{split}.jsonl").write_text(json.dumps(row))
        height, width = cv2.imread(str(folder / "pictures" / name)).shape[:2]
        told = {"box": [1, 1, width // 2, height // 2], "size": [width, height], "split": split}
        boxes += [{"image": name, "caption": text, **told} for text in ("the dot", "the left dot")]
    (folder / "boxes.jsonl").write_text("\n".join(map(json.dumps, boxes)))


def _models(folder: Path, run: Path) -> None:
    kept = folder.with_name("kept")
    own = ("mine", "pointing")
    for name in (
        "version_0",
        "pretrain",
        "retrieval",
        "grounding",
        "caption",
        "nlvr2-pretrain",
        *own,
    ):
        _linked(folder / "runs" / name, run)
    (folder / "FILE").symlink_to(run / "checkpoints" / "last.ckpt")
    written: dict[str, Callable[[Path], object]] = {
        "shared": write_model,
        "runs/vqa": lambda path: write_model(path, answers=ANSWERS),
        "runs/mine-vqa": lambda path: write_model(path, answers=ANSWERS),
        "runs/nlvr2": lambda path: write_model(path, truth=True),
        "runs/snli_ve": lambda path: write_model(path, entailment=True),
    }
    for name, write in written.items():
        write(kept / name)
        # What make asks of a run that it tests: the weights themselves are not looked at.
        _linked(kept / name / "checkpoints", run / "checkpoints")
        _linked(folder / name, kept / name)
    with patch.dict(official.SMALL, WIDE):
        for name, task in (("ALBEF.pth", "pretrain"), ("vqa.pth", "vqa")):
            official.write_albef(kept / name, task)
            _linked(folder / name, kept / name)
    (folder / "answer_list.json").write_text(json.dumps(ANSWERS.listed))


def _linked(place: Path, target: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
