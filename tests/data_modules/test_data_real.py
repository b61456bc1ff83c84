"""The real files of ../shared/data, converted whole; their own lists say what must come out."""

import json
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from data_modules.commands import main
from data_modules.contents import captions, meta
from data_modules.shards import ShardSet

DATA = Path(__file__).parents[3] / "shared" / "data"


def unpacked(name, folder):
    file = DATA / name
    if not file.is_file():
        pytest.skip(f"{file} is not on this machine")
    with tarfile.open(file) as tar:
        tar.extractall(folder, filter="data")
    return folder


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


def test_openstax(tmp_path):
    folder = unpacked("openstax_ccby.tar", tmp_path / "in")
    table = folder / "captions.jsonl"
    flags = ("--short_side", 0, "--workers", 2, "--credit", "OpenStax")
    found = convert(folder / "images", table, tmp_path / "out", *flags)
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    assert found == {row["image"]: (row["split"], row["captions"]) for row in rows}
    assert Counter(split for split, _ in found.values()) == {"train": 2654, "val": 304, "test": 354}
    assert sum(len(texts) for _, texts in found.values()) == 6022
