"""SNLI-VE's and NLVR2's own files and ALBEF's lists, through the command line."""

import json
from pathlib import Path

import pytest
from schemas import picture, write_pictures
from test_data_formats import convert

from data_modules.annotations import read_annotations
from data_modules.formats.rows import split_in
from softmask.errors import InputError

ROWS = Path(__file__).parent / "nlvr2_dev_rows.jsonl"  # real ones, see NOTICE


def official():
    return [json.loads(line) for line in ROWS.read_text().splitlines()]


def sides(identifier):
    name = identifier.rpartition("-")[0]
    return f"{name}-img0.png", f"{name}-img1.png"


def meta(sample):
    return json.loads(sample.columns["json"])


def all_samples(found):
    """`convert` keeps one sample a picture; with shared ones, look at the labels of each."""
    return {meta(sample)["identifier"]: sample for sample in found.values()}


@pytest.mark.parametrize("flags", [[], ["--format", "nlvr2"]], ids=["auto", "named"])
def test_nlvr2s_own_rows(tmp_path, capsys, flags):
    rows = {row["identifier"]: row for row in official()}
    names = sorted({name for identifier in rows for name in sides(identifier)})
    images = write_pictures(tmp_path / "dev", names)
    found = convert(tmp_path, images, ROWS, "--short_side", 0, *flags)
    assert set(found) == {"val"}
    assert f"val: {len(rows)} pictures, {len(rows)} captions" in capsys.readouterr().out
    for identifier, sample in all_samples(found["val"]).items():
        row, (left, right) = rows[identifier], sides(identifier)
        split, number, _, sentence = identifier.split("-")
        told = meta(sample)
        assert sample.columns["txt"].decode() == row["sentence"]
        assert (told["label"], told["synset"]) == (row["label"], row["synset"])
        assert (told["image"], told["second_image"]) == (left, right)
        assert told["sentence_id"] == f"{split}-{number}-{sentence}"
        assert sample.columns["left.png"] == picture(names.index(left), extension=".png")
        assert sample.columns["right.png"] == picture(names.index(right), extension=".png")


def test_nlvr2s_rows_without_their_pictures_are_an_error(tmp_path):
    with pytest.raises(InputError, match=r"12 of 12 pictures .*dev-850-.-img0.png"):
        convert(tmp_path, tmp_path, ROWS)


def test_nlvr2s_training_pictures_lie_in_numbered_folders(tmp_path):
    row = {"sentence": "One.", "label": "True", "identifier": "train-7-1-0", "directory": 84}
    (tmp_path / "train.json").write_text(json.dumps({**row, "left_url": "a"}))
    (group,) = read_annotations(tmp_path / "train.json")
    assert (group.image, group.second) == ("84/train-7-1-img0.png", "84/train-7-1-img1.png")
    assert group.split == "train"


def test_albefs_nlvr2_list(tmp_path):
    names = [f"test1/test1-{n}-0-img{side}.png" for n in (0, 1) for side in (0, 1)]
    images = write_pictures(tmp_path / "NLVR2", names)
    rows = [
        {"images": names[:2], "sentence": "There are two.", "label": "True"},
        {"images": names[2:], "sentence": "There are two.", "label": "False"},
    ]
    file = tmp_path / "nlvr_test.json"
    file.write_text(json.dumps(rows))
    found = convert(tmp_path, images, file)
    assert set(found) == {"test"}
    for row in rows:
        sample = found["test"][row["images"][0]]
        assert meta(sample)["label"] == row["label"]
        assert meta(sample)["second_image"] == row["images"][1]


@pytest.mark.parametrize("name", ["Flikr30kID", "Flickr30K_ID"])
def test_snli_ves_own_rows(tmp_path, capsys, name):
    images = write_pictures(tmp_path / "flickr30k", ["101.jpg", "102.jpg"])
    rows = [
        {
            name: "101" if number < 2 else "102.jpg",
            "sentence1": "A caption that is not used.",
            "sentence2": f"Hypothesis {number}.",
            "gold_label": label,
            "pairID": f"10{1 + number // 2}.jpg#0r{number}",
            "captionID": "101.jpg#0",
        }
        for number, label in enumerate(["entailment", "neutral", "contradiction", "-"])
    ]
    folder = tmp_path / "annotations"
    folder.mkdir()
    for split, part in (("dev", rows[:2]), ("test", rows[2:])):
        lines = "\n".join(map(json.dumps, part)) + "\n"
        (folder / f"snli_ve_{split}.jsonl").write_text(lines)
    groups = read_annotations(folder, "snli_ve")
    assert [(g.image, g.captions[0], g.meta["label"], g.split) for g in groups] == [
        ("101.jpg", "Hypothesis 0.", "entailment", "val"),
        ("101.jpg", "Hypothesis 1.", "neutral", "val"),
        ("102.jpg", "Hypothesis 2.", "contradiction", "test"),
        ("102.jpg", "Hypothesis 3.", "-", "test"),
    ]
    found = convert(tmp_path, images, folder)
    assert "read as snli_ve" in capsys.readouterr().out
    assert {meta(s)["identifier"] for split in found.values() for s in split.values()} <= {
        row["pairID"] for row in rows
    }


def test_albefs_snli_ve_list(tmp_path):
    images = write_pictures(tmp_path / "images", ["7.jpg"])
    rows = [
        {"image": "7", "sentence": f"Hypothesis {n}.", "label": label}
        for n, label in enumerate(["entailment", "neutral"])
    ]
    file = tmp_path / "ve_train.json"
    file.write_text(json.dumps(rows))
    assert [group.meta for group in read_annotations(file)] == [{"label": r["label"]} for r in rows]
    found = convert(tmp_path, images, file)
    assert found["train"]["7.jpg"].columns["jpg"] == picture(0)


@pytest.mark.parametrize(
    ("format", "row", "says"),
    [
        ("snli_ve", {"sentence": "a", "label": "neutral"}, "Row 1 of .* names no picture"),
        ("snli_ve", {"image": "7", "label": "neutral"}, "Row 1 of .* has an empty caption"),
        ("nlvr2", {"sentence": "a", "images": ["b"]}, r"images \['b'\]: give the names of two"),
        ("nlvr2", {"sentence": "a", "identifier": "dev-1"}, "identifier 'dev-1'.*dev-850-0-1"),
        ("nlvr2", {"sentence": " ", "images": ["b", "c"]}, "has an empty caption"),
        ("nlvr2", ["a"], "Row 1 of .* is no JSON object"),
    ],
)
@pytest.mark.parametrize("form", ["list", "lines"])
def test_rows_that_cannot_be_used_are_named(tmp_path, form, format, row, says):
    file = tmp_path / "a.json"
    if form == "lines" and isinstance(row, list):
        row = "a"
    file.write_text(json.dumps([row] if form == "list" else row))
    with pytest.raises(InputError, match=says):
        read_annotations(file, format)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("snli_ve_dev", "val"),
        ("ve_train", "train"),
        ("images/train/84/train-10171-0-img0.png", "train"),
        ("test1/test1-0-0-img1.png", "test"),
        ("nlvr", None),
        ("train_and_dev", None),
    ],
)
def test_names_tell_splits(name, split):
    assert split_in(name) == split
