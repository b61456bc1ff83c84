import builtins
import json
import os
from pathlib import Path

import pytest
from schemas import (
    captions,
    img2dataset_samples,
    picture,
    write_albef_test,
    write_albef_train,
    write_coco,
    write_csv,
    write_files,
    write_img2dataset,
    write_karpathy,
    write_pictures,
    write_tar,
)

from data_modules.annotations import read_annotations
from data_modules.commands import main
from data_modules.formats.detect import detect
from data_modules.shards import ShardSet
from softmask.errors import InputError

NAMES = [f"{number:012d}.jpg" for number in range(6)]


def convert(tmp_path, images, captions, *flags):
    """Through the command line; gives the samples by split and picture."""
    output = tmp_path / "out"
    given = ["--captions", str(captions)] if captions else []
    main(["write", "--images", str(images), *given, "--output", str(output), *map(str, flags)])
    found = {}
    for split in sorted(output.iterdir()):
        shards = ShardSet(str(split))
        samples = [shards.read(position) for position in range(len(shards))]
        found[split.name] = {json.loads(s.columns["json"])["image"]: s for s in samples}
    return found


def texts(sample):
    meta = json.loads(sample.columns["json"])
    return meta.get("captions", [sample.columns["txt"].decode()])


def test_coco(tmp_path, capsys):
    images = write_pictures(tmp_path / "val2017", NAMES)
    file = write_coco(tmp_path / "captions_val2017.json", NAMES[:5], silent=NAMES[5:])
    found = convert(tmp_path, images, file)
    assert set(found) == {"train"}
    assert set(found["train"]) == set(NAMES[:5])
    for number, name in enumerate(NAMES[:5]):
        sample = found["train"][name]
        assert texts(sample) == captions(number)
        assert sample.columns["jpg"] == picture(number)
        meta = json.loads(sample.columns["json"])
        assert (meta["coco_id"], meta["image_id"]) == (1000 + number, name)
    out = capsys.readouterr().out
    assert "read as coco, for it has images with file_name" in out
    assert "1 pictures have no caption and are left out" in out
    assert "train: 5 pictures, 10 captions" in out


@pytest.mark.parametrize("filepath", ["val2014", None])
def test_karpathy(tmp_path, filepath, capsys):
    folder = tmp_path / "images"
    write_pictures(folder / (filepath or "."), NAMES)
    splits = ["train", "restval", "val", "test", "restval", "train"]
    file = write_karpathy(tmp_path / "dataset.json", NAMES, splits, filepath)
    found = convert(tmp_path, folder, file)
    assert {split: len(samples) for split, samples in found.items()} == {
        "train": 4,
        "val": 1,
        "test": 1,
    }
    name = f"{filepath}/{NAMES[1]}" if filepath else NAMES[1]
    sample = found["train"][name]
    assert texts(sample) == captions(1)
    assert json.loads(sample.columns["json"]).get("coco_id") == (391896 if filepath else None)
    assert "read as karpathy, for it has images with sentences" in capsys.readouterr().out


def test_albef_train_list(tmp_path):
    names = [f"train2014/COCO_train2014_{name}" for name in NAMES]
    write_pictures(tmp_path / "images", names)
    listed = [f"/export/share/coco/{name}" for name in names]
    file = write_albef_train(tmp_path / "coco.json", listed)
    flags = ("--strip_prefix", "/export/share/coco/", "--val_share", 0.34)
    found = convert(tmp_path, tmp_path / "images", file, *flags)
    assert {split: len(samples) for split, samples in found.items()} == {"train": 4, "val": 2}
    for number, name in enumerate(names):
        sample = {**found["train"], **found["val"]}[name]
        assert texts(sample) == captions(number)
        assert json.loads(sample.columns["json"])["image_id"] == f"coco_{5000 + number}"


def test_albef_test_list_and_folder_of_lists(tmp_path, capsys):
    folder = tmp_path / "lists"
    folder.mkdir()
    write_albef_test(folder / "a.json", NAMES[:3])
    write_albef_train(folder / "b.json", NAMES[:2])
    groups = read_annotations(folder)
    assert [(g.image, g.captions) for g in groups] == [(NAMES[n], captions(n)) for n in range(3)]
    assert "read as albef, for it is a list with image and caption" in capsys.readouterr().out


@pytest.mark.parametrize("output", ["webdataset", "files"])
def test_img2dataset(tmp_path, output, capsys):
    found = convert(tmp_path, write_img2dataset(tmp_path / "laion", output), None)["train"]
    files = img2dataset_samples(2, 4)
    names = [f"{shard}/{name}" for shard in files for name in files[shard] if name.endswith("jpg")]
    assert set(found) == set(names[:-1])
    for number, name in enumerate(names[:-1]):
        sample = found[name]
        assert sample.columns["jpg"] == picture(number)
        assert texts(sample) == captions(number, 1)
        meta = json.loads(sample.columns["json"])
        assert meta["url"] == f"http://example.org/{number}.jpg"
        assert meta["original_width"] == 640
        assert not {"status", "exif", "error_message", "key", "caption"} & set(meta)
    out = capsys.readouterr().out
    assert "read as img2dataset" in out
    assert "1 pictures have no caption and are left out" in out


def test_both_outputs_of_img2dataset_give_the_same_bytes(tmp_path):
    for output in ("webdataset", "files"):
        convert(tmp_path / output, write_img2dataset(tmp_path / output / "in", output), None)
    written = [
        (tmp_path / output / "out/train/00000.tar").read_bytes()
        for output in ("webdataset", "files")
    ]
    assert written[0] == written[1]


def test_img2dataset_without_txt_takes_the_json_caption(tmp_path):
    write_tar(tmp_path / "0.tar", {"7.jpg": picture(7), "7.json": b'{"caption": "seven"}'})
    write_tar(tmp_path / "1.tar", {"./8.jpg": picture(8), "./8.txt": b"eight", "9.txt": b"alone"})
    groups = read_annotations(tmp_path)
    assert [(group.image, group.captions) for group in groups] == [
        ("0/7.jpg", ["seven"]),
        ("1/8.jpg", ["eight"]),
    ]


def test_pictures_of_one_name_in_several_folders_of_a_tar_stay_apart(tmp_path):
    names = [f"{folder}/1.{kind}" for folder in ("cat", "dog") for kind in ("jpg", "txt")]
    files = {name: picture(1) if name.endswith("jpg") else name.encode() for name in names}
    write_tar(tmp_path / "0.tar", files)
    groups = read_annotations(tmp_path)
    assert [(group.image, group.captions) for group in groups] == [
        ("0/cat/1.jpg", ["cat/1.txt"]),
        ("0/dog/1.jpg", ["dog/1.txt"]),
    ]


@pytest.mark.parametrize("output", ["webdataset", "files"])
def test_img2dataset_in_capitals(tmp_path, output):
    files = {"1.JPG": picture(1), "1.TXT": b"one", "2.JPG": picture(2)}
    files["2.JSON"] = b'{"caption": "two", "likes": 0, "nsfw": false, "by": "", "at": null}'
    write_files(tmp_path, output, files)
    groups = read_annotations(tmp_path, "img2dataset")
    assert [(group.image, group.captions, group.meta) for group in groups] == [
        ("0/1.JPG", ["one"], {}),
        ("0/2.JPG", ["two"], {"likes": 0, "nsfw": False}),
    ]


def test_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow (the extra softmask[parquet]) is absent")
    from datetime import date

    from pyarrow import parquet

    columns = {
        "image": [NAMES[0], NAMES[1], NAMES[0]],
        "caption": ["one", "two", "three"],
        "split": ["train", "val", "train"],
        "taken": [date(2020, 1, 2), None, None],
        "likes": [3, 4, 5],
    }
    parquet.write_table(arrow.table(columns), tmp_path / "a.parquet")
    groups = read_annotations(tmp_path / "a.parquet")
    assert [(g.image, g.captions, g.split, g.meta) for g in groups] == [
        (NAMES[0], ["one", "three"], "train", {"taken": "2020-01-02", "likes": 3}),
        (NAMES[1], ["two"], "val", {"likes": 4}),
    ]
    lists = {"image": [NAMES[2]], "captions": [["a", "b"]]}
    parquet.write_table(arrow.table(lists), tmp_path / "b.parquet")
    assert read_annotations(tmp_path / "b.parquet")[0].captions == ["a", "b"]
    for wrong, words in (
        (
            {"image": [b"x"], "caption": ["y"]},
            "^The image of row 1 of .* is a bytes: give a file name",
        ),
        ({"image": ["x"], "caption": ["y"], "raw": [b"z"]}, "bytes in the column 'raw'"),
        ({"image": ["x"], "caption": [None]}, "Row 1 of .* has an empty caption"),
    ):
        parquet.write_table(arrow.table(wrong), tmp_path / "c.parquet")
        with pytest.raises(InputError, match=words):
            read_annotations(tmp_path / "c.parquet")
    (tmp_path / "c.parquet").write_text("no parquet")
    with pytest.raises(InputError, match=r"c\.parquet cannot be read .* whole Parquet"):
        read_annotations(tmp_path / "c.parquet")


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    known = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return known(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    (tmp_path / "a.parquet").touch()
    with pytest.raises(InputError, match=r"pip install 'softmask\[parquet\]'"):
        read_annotations(tmp_path / "a.parquet")


def test_tables_are_found_beside_the_pictures(tmp_path):
    images = write_pictures(tmp_path / "images", NAMES)
    write_csv(images / "captions.csv", NAMES)
    assert len(convert(tmp_path, images, None)["train"]) == 6


def test_formats_may_be_named(tmp_path):
    file = tmp_path / "captions.txt"
    file.write_text(json.dumps({"image": "a.jpg", "caption": "x"}) + "\n")
    assert read_annotations(file, "jsonl")[0].captions == ["x"]
    file.rename(tmp_path / "lines.json")
    assert detect(tmp_path / "lines.json").format == "jsonl"


def test_a_folder_one_may_not_look_into_is_passed_over(tmp_path, monkeypatch):
    write_csv(tmp_path / "captions.csv", NAMES)
    (tmp_path / "lost+found").mkdir()

    real = os.listdir

    def listdir(folder):
        if Path(folder).name == "lost+found":
            raise PermissionError(folder)
        return real(folder)

    monkeypatch.setattr("os.listdir", listdir)
    assert detect(tmp_path).format == "csv"
