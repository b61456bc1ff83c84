"""Annotation files that cannot be used, each refused with its name and the way out."""

import pytest
from schemas import (
    picture,
    write_albef_test,
    write_csv,
    write_files,
    write_img2dataset,
    write_tar,
)

from data_modules.annotations import read_annotations
from softmask.errors import InputError

NAMES = [f"{number:012d}.jpg" for number in range(6)]
DEEP = "[" * 200_000


@pytest.mark.parametrize(
    ("content", "format", "words"),
    [
        ("[]", "coco", "no COCO captions .*no object"),
        ('{"images": [{"id": 1, "file_name": "a"}]}', "coco", "lacks 'annotations'"),
        (
            '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1}]}',
            "coco",
            "lacks 'caption'",
        ),
        (
            '{"images": [], "annotations": [{"image_id": 7, "caption": "x"}]}',
            "coco",
            "captions for 1 pictures that it does not list, the first is image_id 7",
        ),
        (
            '{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}], '
            '"annotations": [{"image_id": 1, "caption": "x"}]}',
            "coco",
            "The pictures of .* have the id 1 twice, for different things",
        ),
        (
            '{"images": [{"id": 1, "file_name": "a"}, {"id": 2, "file_name": "a"}], '
            '"annotations": [{"image_id": 1, "caption": "x"}]}',
            "coco",
            "lists the picture 'a' under 2 ids",
        ),
        (
            '{"images": [{"id": 1, "file_name": "a"}], "annotations": '
            '[{"id": 5, "image_id": 1, "caption": "x"}, {"id": 5, "image_id": 1, "caption": "y"}]}',
            "coco",
            "The annotations of .* have the id 5 twice, for different things",
        ),
        (
            '{"images": [{"id": [1], "file_name": "a"}], "annotations": []}',
            "coco",
            r"The pictures of .* have the id \[1\]: give each a number",
        ),
        (
            '{"images": [], "annotations": [[1, "a"]]}',
            "coco",
            "^[^ ]*a.json holds no COCO captions",
        ),
        (
            '{"images": [], "annotations": [{"image_id": "x", "caption": "x"}, '
            '{"image_id": 7, "caption": "x"}]}',
            "coco",
            "captions for 2 pictures that it does not list, the first is image_id 7",
        ),
        (
            '{"images": [{"filename": "a", "split": "test", "sentences": [{"raw": 5}]}]}',
            "karpathy",
            "The picture 1 of .* has the caption 5 of the type int",
        ),
        ('{"images": [{"filename": "a"}]}', "karpathy", "lacks 'sentences'"),
        ("[]", "karpathy", "no file of Karpathy's splits"),
        ('{"images": ["a.jpg"]}', "karpathy", "^[^ ]*a.json is no file of Karpathy's splits"),
        (
            '{"images": [{"filename": "a", "split": "dev", "sentences": []}]}',
            "karpathy",
            "The picture 1 of .* has an empty caption",
        ),
        ("{}", "albef", "is no list as ALBEF"),
        ('[{"caption": "x"}]', "albef", "Row 1 of .* has no image"),
        ('[{"image": "a", "caption": ["x", ""]}]', "albef", "Row 1 of .* an empty caption"),
        ("[]", "albef", "has no rows"),
        ("{", "albef", "cannot be read .* whole JSON"),
        pytest.param(DEEP, "albef", "^[^ ]*a.json cannot be read .* whole JSON", id="deep"),
        pytest.param(DEEP, "jsonl", "^[^ ]*a.json cannot be read .* a table", id="deep-lines"),
        ('[{"question": "what"}]', "auto", "fits no format that is known: name its --format"),
        ("", "auto", "fits no format that is known"),
    ],
)
def test_broken_files(tmp_path, content, format, words):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=words):
        read_annotations(tmp_path / "a.json", format)


def test_broken_places(tmp_path):
    def refuses(place, words, format="auto"):
        with pytest.raises(InputError, match=words):
            read_annotations(place, format)

    refuses(tmp_path / "none.json", "cannot be read .* existing file")
    refuses(tmp_path, "holds no captions .* --captions")
    refuses(tmp_path, "holds no file of the format coco", "coco")
    refuses(tmp_path / "none", "is no folder", "img2dataset")
    write_csv(tmp_path / "a.csv", NAMES)
    write_albef_test(tmp_path / "b.json", NAMES)
    refuses(tmp_path, r"several formats \(albef, csv\)")


@pytest.mark.parametrize("fault", ["end", "middle", "text"])
def test_broken_tars_of_img2dataset(tmp_path, fault):
    folder = write_img2dataset(tmp_path / "laion", "webdataset")
    file = folder / "00001.tar"
    samples = file.read_bytes().rstrip(b"\0")
    # Cut between two members, a tar looks whole to tarfile.
    end = samples + b"\0" * (-len(samples) % 512)
    file.write_bytes({"end": end, "middle": samples[:-700], "text": b"x" * 5120}[fault])
    with pytest.raises(InputError, match=r"00001\.tar is no whole, uncompressed tar"):
        read_annotations(folder)


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("1.json", b"{", "JSON"),
        ("1.json", b"[]", "object"),
        ("1.json", b"\xff", "UTF-8"),
        pytest.param("1.json", DEEP.encode(), "JSON", id="deep"),
        ("1.txt", b"\xff", "UTF-8"),
    ],
)
def test_broken_texts_of_img2dataset(tmp_path, name, data, kind):
    write_tar(tmp_path / "0.tar", {"1.jpg": picture(1), name: data})
    with pytest.raises(InputError, match=rf"^0/{name} of .*0\.tar is no {kind}: mend it"):
        read_annotations(tmp_path)


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ('a,"a dog\nb,a cat\nc,a cow\n', 2),
        ('a,"a dog,\nrunning"\nb,"a cat\nc,a cow\n', 4),
        ('a,a dog\nb,"a cat\nc,"a cow"\n', 3),
        ('a,a dog\nb,"a cat\n' + "c,a cow\n" * 20_000, 3),
        ('a,"a "good" dog"\n', 2),
    ],
    ids=["last", "after-lines", "closed-later", "long", "inner"],
)
def test_an_unclosed_quote_is_told_with_its_line(tmp_path, rows, line):
    (tmp_path / "c.csv").write_text("image,caption\n" + rows)
    words = rf"c\.csv cannot be read from line {line} on \(.+\): close the quote that opens there"
    with pytest.raises(InputError, match=words):
        read_annotations(tmp_path / "c.csv")


def test_an_unclosed_quote_of_the_header_is_in_line_1(tmp_path):
    (tmp_path / "c.csv").write_text('image,"caption\na,b\n')
    with pytest.raises(InputError, match="from line 1 on"):
        read_annotations(tmp_path / "c.csv")


def test_captions_of_several_lines_and_with_quotes_are_read(tmp_path):
    rows = 'a,"a dog,\nrunning"\r\nb,"a ""good"" cat"\nc,5" long\n'
    (tmp_path / "c.csv").write_bytes(f"image,caption\n{rows}".encode())
    groups = read_annotations(tmp_path / "c.csv")
    captions = [["a dog,\nrunning"], ['a "good" cat'], ['5" long']]
    assert [group.captions for group in groups] == captions


@pytest.mark.parametrize("names", [("1.jpg", "1.png"), ("1.jpeg", "1.jpg"), ("1.JPG", "1.jpg")])
@pytest.mark.parametrize("output", ["webdataset", "files"])
def test_a_sample_with_several_pictures_is_refused(tmp_path, output, names):
    files = {name: picture(1) for name in names} | {"1.txt": b"one"}
    write_files(tmp_path, output, files)
    words = f"^The sample 0/1 of {tmp_path} has 2 pictures, 0/{names[0]} and 0/{names[1]}, and"
    with pytest.raises(InputError, match=words):
        read_annotations(tmp_path, "img2dataset")
