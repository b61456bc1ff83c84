"""The annotations' own `image_id`: pictures that have it in common count as one."""

import json
import random

import pytest
from schemas import picture, write_files, write_pictures
from test_data_formats import convert

from data_modules.annotations import read_annotations, split_groups
from data_modules.captioned import image_id
from data_modules.contents import contents
from data_modules.formats.group import Group

NAMES = [f"{number}.jpg" for number in range(5)]
IDS = ["cat", "cat", "", 0, None]
WRITTEN = ["cat", "cat", NAMES[2], "0", NAMES[4]]


def as_csv(file):
    rows = zip(NAMES, [*IDS[:4], ""], strict=True)
    lines = [f"{name},picture {name},{known}" for name, known in rows]
    file.write_text("\n".join(["image,caption,image_id", *lines]))


def as_jsonl(file):
    rows = zip(NAMES, IDS, strict=True)
    lines = [{"image": n, "caption": f"picture {n}", "image_id": known} for n, known in rows]
    file.write_text("\n".join(map(json.dumps, lines)))


def as_albef(file):
    as_jsonl(file)
    file.write_text(f"[{','.join(file.read_text().splitlines())}]")


@pytest.mark.parametrize(
    ("name", "write"), [("a.csv", as_csv), ("a.jsonl", as_jsonl), ("a.json", as_albef)]
)
def test_it_arrives_in_the_samples(tmp_path, name, write):
    write(tmp_path / name)
    images = write_pictures(tmp_path / "images", NAMES)
    found = convert(tmp_path, images, tmp_path / name)["train"]
    known = [json.loads(found[image].columns["json"])["image_id"] for image in NAMES]
    assert known == WRITTEN
    numbers = [image_id(contents(found[image]), found[image]) for image in NAMES]
    assert numbers[0] == numbers[1]
    assert len(set(numbers)) == len(NAMES) - 1


@pytest.mark.parametrize("output", ["webdataset", "files"])
def test_it_arrives_from_tars_and_folders(tmp_path, output):
    files = {}
    for number, known in enumerate(IDS):
        said = json.dumps({"caption": f"picture {number}", "image_id": known})
        files |= {f"{number}.jpg": picture(number), f"{number}.json": said.encode()}
    (tmp_path / "in").mkdir()
    images = write_files(tmp_path / "in", output, files)
    found = convert(tmp_path, images, None, "--format", "img2dataset")["train"]
    known = [json.loads(found[f"0/{name}"].columns["json"])["image_id"] for name in NAMES]
    assert known == ["cat", "cat", "0/2.jpg", "0", "0/4.jpg"]


def splits_of(groups):
    splits = split_groups(groups, 0.3, 0.2, random.Random(0))
    assert set(splits) == {"train", "val", "test"}
    return {id(group): name for name, members in splits.items() for group in members}


def test_pictures_that_have_it_in_common_stay_in_one_split(tmp_path):
    rows = [{"image": f"{n}.jpg", "caption": f"{n}", "image_id": n // 3} for n in range(90)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    groups = read_annotations(tmp_path / "a.jsonl")
    split = splits_of(groups)
    for start in range(0, 90, 3):
        assert len({split[id(group)] for group in groups[start : start + 3]}) == 1


def test_a_caption_that_reads_like_it_joins_nothing():
    groups = [Group(f"{n}", [f"{n + 1}"], None, image_id=f"x{n}") for n in range(40)]
    assert len(split_groups(groups, 0.3, 0.2, random.Random(0))["val"]) == 12


def test_a_picture_with_rows_apart_and_others_stays_in_one_split():
    rows = [Group(f"{n}", [f"text {n}"], None) for n in range(40)]
    groups = rows + [Group(f"{n}", ["the dot"], None, apart=True) for n in range(40)]
    split = splits_of(groups)
    for plain, apart in zip(groups[:40], groups[40:], strict=True):
        assert split[id(plain)] == split[id(apart)]
