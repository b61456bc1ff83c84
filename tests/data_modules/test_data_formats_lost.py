"""What readers of folders and tars leave out, and what they used to."""

import json

import cv2
import numpy as np
import pytest
from schemas import picture, write_files, write_pictures, write_tar
from test_data_formats import convert

from data_modules.annotations import read_annotations
from data_modules.formats.detect import detect
from softmask.errors import InputError

OUTPUTS = pytest.mark.parametrize("output", ["webdataset", "files"])
APPLE = b"\0\5\x16\7" + b"\0" * 78
"""What macOS puts beside a file on foreign disks, in ._name."""


def gif():
    animation = cv2.Animation()
    animation.frames, animation.durations = [np.full((24, 24, 3), 200, np.uint8)], [100]
    return cv2.imencodeanimation(".gif", animation)[1].tobytes()


@OUTPUTS
def test_gifs_of_img2dataset_are_read_and_other_kinds_counted(tmp_path, output, capsys):
    files = {"1.gif": gif(), "1.txt": b"moves", "2.jpg": picture(2), "2.txt": b"two"}
    files |= {"3.tiff": b"3", "3.txt": b"three", "4.txt": b"four", "5.jpg": b"5"}
    (tmp_path / "in").mkdir()
    found = convert(tmp_path, write_files(tmp_path / "in", output, files), None)["train"]
    assert {name: sample.columns["txt"] for name, sample in found.items()} == {
        "0/1.gif": b"moves",
        "0/2.jpg": b"two",
    }
    pixels = cv2.imdecode(np.frombuffer(found["0/1.gif"].columns["jpg"], np.uint8), 1)
    assert abs(pixels.mean() - 200) <= 5, "written as a JPEG"
    told = capsys.readouterr().out
    assert "2 samples have no picture that is read (jpg, jpeg, png, webp, gif) and are" in told
    assert "1 pictures have no caption and are left out" in told


@OUTPUTS
def test_captions_of_the_json_are_read_as_training_reads_them(tmp_path, output):
    said = {
        "1": {"captions": ["one", "two", " "]},
        "2": {"captions": []},
        "3": {"captions": "text"},
        "4": {"captions": ["four", 4]},
        "5": {"captions": ["", " "]},
        "6": {"captions": ["a dog", "a cat"], "answers": ["red"]},
        "7": {"captions": ["txt", "a cat"], "label": 3},
    }
    files = {}
    for key, told in said.items():
        files |= {f"{key}.jpg": picture(1), f"{key}.json": json.dumps(told).encode()}
        files[f"{key}.txt"] = b"txt"
    groups = read_annotations(write_files(tmp_path, output, files), "img2dataset")
    assert [(group.image, group.captions, group.meta) for group in groups] == [
        ("0/1.jpg", ["one", "two"], {}),
        ("0/2.jpg", ["txt"], {"captions": []}),
        ("0/3.jpg", ["txt"], {"captions": "text"}),
        ("0/4.jpg", ["txt"], {"captions": ["four", 4]}),
        ("0/6.jpg", ["txt"], said["6"]),  # a question, beside the captions of its picture
        ("0/7.jpg", ["txt", "a cat"], {"label": 3}),
    ]


def test_shards_written_again_keep_their_captions(tmp_path, capsys):
    images = write_pictures(tmp_path / "images", ["a.jpg", "b.jpg"])
    rows = ["image,caption", "a.jpg,one", "a.jpg,two", "b.jpg,three"]
    (tmp_path / "c.csv").write_text("\n".join(rows))
    convert(tmp_path, images, tmp_path / "c.csv")
    (tmp_path / "again").mkdir()
    convert(tmp_path / "again", tmp_path / "out/train", None)
    assert capsys.readouterr().out.count("train: 2 pictures, 3 captions") == 2
    groups = read_annotations(tmp_path / "again/out/train")
    assert sorted(group.captions for group in groups) == [["one", "two"], ["three"]]
    assert sorted(str(group.image_id) for group in groups) == ["a.jpg", "b.jpg"]


@OUTPUTS
def test_hidden_files_are_no_samples(tmp_path, output, capsys):
    files = {"._1.jpg": APPLE, "._1.txt": APPLE, "1.jpg": picture(1), "1.txt": b"one"}
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints/2.jpg").write_bytes(picture(2))
    (tmp_path / ".ipynb_checkpoints/2.txt").write_text("two")
    write_files(tmp_path, output, files)
    (tmp_path / "._0.tar").write_bytes(APPLE)
    (tmp_path / "._c.csv").write_bytes(APPLE)
    groups = read_annotations(tmp_path)
    assert [(group.image, group.captions) for group in groups] == [("0/1.jpg", ["one"])]
    assert "left out" not in capsys.readouterr().out


def test_hidden_names_do_not_tell_a_format(tmp_path):
    for name in ("._0.tar", "._0_stats.json", "._v2_OpenEnded_x_questions.json", "._c.csv"):
        (tmp_path / name).write_bytes(APPLE)
    with pytest.raises(InputError, match="holds no captions"):
        detect(tmp_path)
    (tmp_path / "c.csv").write_text("image,caption\na,b\n")
    assert detect(tmp_path).files == [tmp_path / "c.csv"]
    assert read_annotations(tmp_path, "csv")[0].captions == ["b"]


@pytest.mark.parametrize("ending", ["jpg", "jpeg", "JPG", "Png", "webp", "GIF"])
def test_folders_of_any_picture_that_is_read_are_found(tmp_path, ending):
    (tmp_path / "0").mkdir()
    (tmp_path / "0/README.txt").write_text("has no picture")
    (tmp_path / f"0/x.{ending}").write_bytes(picture(1))
    (tmp_path / "0/x.TXT").write_text("one")
    assert detect(tmp_path)[0] == "img2dataset"
    assert read_annotations(tmp_path)[0].captions == ["one"]


def test_folders_of_other_files_are_not_found(tmp_path):
    (tmp_path / "0").mkdir()
    for name in ("x.txt", "x.pdf", "y.jpg"):
        (tmp_path / "0" / name).write_bytes(b"x")
    with pytest.raises(InputError, match="holds no captions"):
        detect(tmp_path)


def test_json_and_txt_with_a_mark_are_read(tmp_path):
    said = '{"caption": "one"}'.encode("utf-8-sig")
    files = {"1.jpg": picture(1), "1.json": said, "2.jpg": picture(2)}
    write_tar(tmp_path / "0.tar", files | {"2.txt": "two".encode("utf-8-sig")})
    assert [group.captions for group in read_annotations(tmp_path)] == [["one"], ["two"]]


def test_class_folders_tell_what_they_leave_out(tmp_path, capsys):
    images = write_pictures(tmp_path / "in", ["cat/1.jpg", "dog/1.png", "dog/._2.png", ".x/3.jpg"])
    (images / "cat/2.GIF").write_bytes(gif())
    for name in ("cat/notes.txt", "dog/4.heic"):
        (images / name).write_text("x")
    found = convert(tmp_path, images, None, "--format", "folders")["train"]
    assert sorted(found) == ["cat/1.jpg", "cat/2.GIF", "dog/1.png"]
    assert (
        "2 entries of its folders are no pictures that are read (.jpg, .jpeg, .png, .webp, .gif, "
        ".bmp, .tif, .tiff) and are left out, the first is cat/notes.txt\n"
    ) in capsys.readouterr().out


def test_class_folders_of_pictures_alone_say_nothing(tmp_path, capsys):
    read_annotations(write_pictures(tmp_path, ["cat/1.jpg", "dog/1.png"]), "folders")
    assert capsys.readouterr().out == ""
