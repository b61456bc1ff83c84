import csv
import json
import random

import cv2
import pytest
from fake import draw

from data_modules import annotations
from data_modules.annotations import read_annotations, split_groups
from data_modules.commands import main
from data_modules.formats.group import Group
from data_modules.pairs import write_pairs
from data_modules.shards import ShardSet
from softmask.errors import InputError


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    for number in range(12):
        pixels = draw("red", "circle", "left", "blue", 40 + number)
        name = f"sub/p.{number}.png" if number % 2 else f"p{number}.jpg"
        cv2.imwrite(str(folder / name), pixels)
    return folder


NAMES = [f"sub/p.{number}.png" if number % 2 else f"p{number}.jpg" for number in range(12)]


def table(file, rows, columns=("image", "caption")):
    with file.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerows([columns, *rows])
    return file


def read_all(folder):
    shards = ShardSet(str(folder))
    return [shards.read(position) for position in range(len(shards))]


def test_csv_with_splits(images, tmp_path, capsys):
    splits = ["train"] * 8 + ["val"] * 3 + ["test"]
    rows = [(name, f"picture {n}", splits[n], "me") for n, name in enumerate(NAMES)]
    rows.append((NAMES[0], "another caption", "train", "me"))
    file = table(tmp_path / "c.csv", rows, ("image", "caption", "split", "credit"))
    output = tmp_path / "out"
    arguments = ["--images", images, "--captions", file, "--output", output, "--shard_size", 3]
    main(["write", *map(str, arguments), "--license", "CC0"])
    assert {part.name: len(read_all(part)) for part in output.iterdir()} == {
        "train": 8,
        "val": 3,
        "test": 1,
    }
    assert "train: 8 pictures, 9 captions" in capsys.readouterr().out
    assert json.loads((output / "train/index.json").read_text())["license"] == "CC0"
    train = read_all(output / "train")
    found = {json.loads(sample.columns["json"])["image"]: sample for sample in train}
    assert set(found) == set(NAMES[:8])
    first = found[NAMES[0]]
    assert json.loads(first.columns["json"]) == {
        "captions": ["picture 0", "another caption"],
        "credit": "me",
        "image": NAMES[0],
        "image_id": NAMES[0],
    }
    assert first.columns["jpg"] == (images / NAMES[0]).read_bytes()
    assert [s.key for s in train] != sorted(s.key for s in train), "shuffled"


def test_same_seed_same_files(images, tmp_path):
    file = table(tmp_path / "c.csv", [(name, f"picture {n}") for n, name in enumerate(NAMES)])
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_pairs(images, file, tmp_path / name, seed=seed, val_share=0.25)
    read = {name: (tmp_path / name / "train/00000.tar").read_bytes() for name in "abc"}
    assert read["a"] == read["b"] != read["c"]


def test_jsonl_with_lists(tmp_path):
    file = tmp_path / "c.jsonl"
    lists = '{"image": "a", "captions": ["x", "y"]}\n{"image": "c", "caption": ["v", "w"]}\n'
    file.write_text(lists + '\n{"image": "b", "caption": "z"}\n')
    groups = read_annotations(file)
    assert [(g.image, g.captions, g.split) for g in groups] == [
        ("a", ["x", "y"], None),
        ("c", ["v", "w"], None),
        ("b", ["z"], None),
    ]


def test_commas_at_the_end_of_a_row_pass(tmp_path):
    (tmp_path / "c.csv").write_text('image,caption\na,b,,\nc,"a dog, on grass",\n')
    groups = read_annotations(tmp_path / "c.csv")
    assert [(g.image, g.captions, g.meta) for g in groups] == [
        ("a", ["b"], {}),
        ("c", ["a dog, on grass"], {}),
    ]


def test_zero_and_false_are_kept(tmp_path):
    file = tmp_path / "c.jsonl"
    notes = {"label": 0, "score": 0.0, "real": False}
    file.write_text(json.dumps({"image": "a", "caption": "x", **notes, "by": "", "at": None}))
    (group,) = read_annotations(file)
    assert group.meta == notes
    assert type(group.meta["real"]) is bool


def test_rows_that_differ_in_further_columns_are_counted(tmp_path, capsys):
    columns = ("image", "caption", "credit")
    rows = [("a", "x", "me"), ("a", "y", "me"), ("b", "z", "me"), ("a", "v", "you"), ("b", "w", "")]
    groups = read_annotations(table(tmp_path / "c.csv", rows, columns))
    assert [(g.captions, g.meta) for g in groups] == [
        (["x", "y", "v"], {"credit": "me"}),
        (["z", "w"], {"credit": "me"}),
    ]
    said = [line for line in capsys.readouterr().out.splitlines() if "differs in" in line]
    assert said == [
        f"Row 5 of {tmp_path / 'c.csv'} differs in further columns from the first row of its "
        "picture, whose columns are kept; 2 rows do so"
    ]
    read_annotations(table(tmp_path / "c.csv", rows[:3], columns))
    assert "differs in" not in capsys.readouterr().out


def test_rows_with_a_box_stay_samples_of_their_own(tmp_path):
    boxes = [[1, 2, 3, 4], [5, 6, 7, 8], None]
    rows = [{"image": "a", "caption": str(box), "box": box} for box in boxes]
    rows.append({"image": "a", "caption": "more"})
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    groups = read_annotations(tmp_path / "c.jsonl")
    assert [(g.image, g.captions, g.meta) for g in groups] == [
        ("a", ["[1, 2, 3, 4]"], {"box": [1, 2, 3, 4]}),
        ("a", ["[5, 6, 7, 8]"], {"box": [5, 6, 7, 8]}),
        ("a", ["None", "more"], {}),
    ]


def test_a_box_that_is_a_text_is_another_column(tmp_path):
    rows = [("a", "x", "[1, 2, 3, 4]"), ("a", "y", "[1, 2, 3, 4]")]
    (group,) = read_annotations(table(tmp_path / "c.csv", rows, ("image", "caption", "box")))
    assert group.captions == ["x", "y"]


def test_shares_keep_captions_together(tmp_path):
    rows = [(f"{n}.jpg", f"caption {n // 3}") for n in range(90)]
    rows += [("0.jpg", "joins"), ("89.jpg", " JOINS")]
    groups = read_annotations(table(tmp_path / "c.csv", rows))
    splits = split_groups(groups, 0.2, 0.1, random.Random(0))
    sizes = {name: len(members) for name, members in splits.items()}
    assert sum(sizes.values()) == 90
    assert 15 <= sizes["val"] <= 18
    assert 6 <= sizes["test"] <= 9
    texts = {
        name: {c.strip().lower() for group in members for c in group.captions}
        for name, members in splits.items()
    }
    assert not texts["train"] & texts["val"]
    assert not texts["train"] & texts["test"]
    assert not texts["val"] & texts["test"]


def joined_plainly(groups):
    """Merge whole clusters for each group, as slow as it is plain; clusters end with their last."""
    clusters = []
    for group in groups:
        tied = [c for c in clusters if any(set(group.captions) & set(m.captions) for m in c)]
        clusters = [c for c in clusters if c not in tied]
        clusters.append([member for cluster in tied for member in cluster] + [group])
    return [sorted(cluster, key=lambda group: int(group.image)) for cluster in clusters]


@pytest.mark.parametrize("shares", [(0.2, 0.1), (0.1, 0.05), (0, 0)])
@pytest.mark.parametrize("texts", [60, 300, 10_000], ids=["tied", "some", "alone"])
def test_shares_split_as_clusters_joined_plainly_do(monkeypatch, texts, shares):
    draw = random.Random(texts)
    groups = [
        Group(
            str(number),
            [f"text {draw.randrange(texts)}" for _ in range(draw.choice((1, 1, 2)))],
            None,
        )
        for number in range(120)
    ]

    def split():
        try:
            return split_groups(groups, *shares, random.Random(0))
        except InputError as error:  # few are left when those that are tied went to train
            return str(error)

    found = split()
    assert isinstance(found, dict) or (texts, shares) == (60, (0.2, 0.1))
    monkeypatch.setattr(annotations, "_clusters", joined_plainly)
    assert found == split()


@pytest.mark.parametrize("tie", ["star", "pairs"])
def test_pictures_of_one_caption_are_joined_without_going_through_all_of_them_again(
    monkeypatch, tie
):
    looked = []
    known = annotations._ties
    monkeypatch.setattr(annotations, "_ties", lambda group: looked.append(group) or known(group))
    captions = {"star": lambda n: ["a man"], "pairs": lambda n: [f"{n}", f"{n + 1}"]}[tie]
    groups = [Group(str(number), captions(number), None) for number in range(200)]
    assert [len(cluster) for cluster in annotations._clusters(groups)] == [200]
    assert len(looked) == 200


def of_texts(*counts):
    texts = [f"text {number}" for number, count in enumerate(counts) for _ in range(count)]
    return [Group(str(number), [text], None) for number, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("counts", "shares", "words"),
    [
        (
            (20,) * 5,
            (0.1, 0),
            "--val_share 0.1 leaves .* val empty, .* has 20 of 100: give a larger",
        ),
        ((20, 1, 1, 1), (0.1, 0.02), "--test_share 0.02 leaves .* comes to none of 23 pictures:"),
        ((1,) * 4, (0.1, 0.25), "--val_share 0.1 leaves .* comes to none of 4 pictures: give"),
    ],
)
def test_a_share_that_comes_to_nothing_is_refused(counts, shares, words):
    with pytest.raises(InputError, match=words):
        split_groups(of_texts(*counts), *shares, random.Random(0))


def test_a_share_that_falls_short_is_told(capsys):
    groups = of_texts(*[20] * 4, *[1] * 20)
    found = split_groups(groups, 0.1, 0.09, random.Random(0))
    assert capsys.readouterr().out == ""
    assert (len(found["val"]), len(found["test"])) == (10, 9)
    found = split_groups(of_texts(*[20] * 4, *[1] * 8), 0.19, 0, random.Random(0))
    assert len(found["val"]) == 8
    said = capsys.readouterr().out
    assert said.startswith("val: 8 pictures, not the 17 of --val_share 0.19: pictures that share a")
    assert "has 20 of 88; give a larger --val_share" in said


def test_no_split_is_all_training(tmp_path):
    groups = read_annotations(table(tmp_path / "c.csv", [("a", "x"), ("b", "y")]))
    assert {k: len(v) for k, v in split_groups(groups, 0, 0, random.Random(0)).items()} == {
        "train": 2
    }


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("c.txt", "image,caption\n", r"c\.txt is neither"),
        ("c.csv", "image,caption\n", r"c\.csv has no rows"),
        ("c.csv", "picture,caption\na,b\n", "Row 2 of .* has no image"),
        ("c.csv", "image,caption\na,b\nb, \n", "Row 3 of .* has an empty caption"),
        ("c.csv", "image,caption\na\n", "Row 2 of .* has an empty caption"),
        (
            "c.csv",
            "image,caption\na,b\nc,a dog, on grass\n",
            r"^Row 3 of .*c\.csv has more fields than the header, the first is ' on grass': put",
        ),
        ("c.csv", "image,caption\na,b,,d\n", "^Row 2 of .* more fields than the header.* 'd': put"),
        ("c.csv", "image,caption,split\na,b,val\na,c,train\n", "Row 3 .*'a'.*one split"),
        ("c.jsonl", '{"image": "a", "captions": []}', "Row 1 of .* has an empty caption"),
        (
            "c.jsonl",
            '{"image": "a", "captions": "x"}',
            "Row 1 of .* has the text 'x' in the column",
        ),
        ("c.csv", "image,captions\na,x\n", "Row 2 of .* 'x' in the column captions, .* call the"),
        ("c.jsonl", '{"image": "a", "caption": []}', "Row 1 of .* has an empty caption"),
        ("c.jsonl", '{"image": "a", "caption": 7}', "Row 1 of .* the caption 7 of the type int"),
        ("c.jsonl", '{"image": "a", "caption": ["x", {}]}', r"the caption \{\} of the type dict"),
        ("c.jsonl", "[1]", "Row 1 of .* has no image"),
        ("c.jsonl", "{", r"c\.jsonl cannot be read"),
    ],
)
def test_broken_tables(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        read_annotations(tmp_path / name)


def test_missing_table_and_other_encodings(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv cannot be read"):
        read_annotations(tmp_path / "none.csv")
    (tmp_path / "c.csv").write_bytes(b"image,caption\na,\xff\xfe\n")
    with pytest.raises(InputError, match="UTF-8"):
        read_annotations(tmp_path / "c.csv")


@pytest.mark.parametrize(
    ("splits", "shares", "words"),
    [
        (("val", ""), (0, 0), "1 of 2 pictures have a split"),
        (("val", "train"), (0.1, 0), "no shares"),
        (("dev", "train"), (0, 0), "split 'dev': use one of train, val, test"),
        (("", ""), (0.5, 0.5), "leave no training data"),
        (("", ""), (-0.1, 0), "leave no training data"),
    ],
)
def test_splits_that_cannot_be(tmp_path, splits, shares, words):
    rows = [("a", "x", splits[0]), ("b", "y", splits[1])]
    groups = read_annotations(table(tmp_path / "c.csv", rows, ("image", "caption", "split")))
    with pytest.raises(InputError, match=words):
        split_groups(groups, *shares, random.Random(0))


def test_missing_pictures_and_options(images, tmp_path):
    file = table(tmp_path / "c.csv", [(NAMES[0], "x"), ("none.jpg", "y")])
    with pytest.raises(InputError, match=r"1 of 2 pictures .* 'none\.jpg'"):
        write_pairs(images, file, tmp_path / "out")
    for wrong in ({"quality": 0}, {"short_side": -1}):
        with pytest.raises(InputError, match="quality from 1 to 100"):
            write_pairs(images, file, tmp_path / "out", **wrong)
