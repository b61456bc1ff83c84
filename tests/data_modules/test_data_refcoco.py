"""RefCOCO+ from REFER's files: what is written, what is refused, and pickles that bite."""

import json
import os
import pickle

import pytest
from refer import box_of, name_of, reference, write_refer, write_train2014
from schemas import picture

from data_modules.annotations import read_annotations
from data_modules.commands import main
from data_modules.formats.unpickle import load_plain_pickle
from data_modules.shards import ShardSet
from softmask.errors import InputError


def convert(tmp_path, captions, *flags):
    images = write_train2014(tmp_path / "train2014")
    given = ["--images", images, "--captions", captions, "--output", tmp_path / "out", *flags]
    main(["write", *map(str, given)])
    found = {}
    for split in sorted((tmp_path / "out").iterdir()):
        shards = ShardSet(str(split))
        samples = [shards.read(position) for position in range(len(shards))]
        found[split.name] = [(s, json.loads(s.columns["json"])) for s in samples]
    return found


def test_every_sentence_is_a_sample_with_its_box(tmp_path, capsys):
    found = convert(tmp_path, write_refer(tmp_path / "refcoco+"))
    assert {split: len(samples) for split, samples in found.items()} == {
        "train": 6,
        "val": 2,
        "test": 4,
    }
    rows = {meta["sent_id"]: (s, meta) for samples in found.values() for s, meta in samples}
    assert sorted(rows) == list(range(12))
    parts = ["train", "train", "train", "val", "testA", "testB"]
    for sent_id, (sample, meta) in rows.items():
        number = sent_id // 2
        assert sample.columns["txt"].decode() == f"ref {number} way {sent_id % 2}"
        assert sample.columns["jpg"] == picture(number)
        assert meta["box"] == box_of(number)
        assert meta["size"] == [40 + number, 40 + number]
        assert meta["split"] == parts[number]
        assert (meta["ref_id"], meta["image_id"]) == (300 + number, name_of(number))
        boxes = None if number < 3 else [box_of(number), [0, 0, 9, 9]]
        assert meta.get("detections") == boxes
    assert "read as refcoco, for it holds refs(*).p" in capsys.readouterr().out


def test_box_stays_the_originals_when_the_picture_shrinks(tmp_path):
    found = convert(tmp_path, write_refer(tmp_path / "refcoco+"), "--short_side", "20")
    sample, meta = found["val"][0]
    assert sample.columns["jpg"] != picture(3)
    assert (meta["box"], meta["size"]) == (box_of(3), [43, 43])


def test_without_detections(tmp_path, capsys):
    found = convert(tmp_path, write_refer(tmp_path / "refcoco+", dets=False))
    assert not any("detections" in meta for samples in found.values() for _, meta in samples)
    assert "has no dets.json" in capsys.readouterr().out


def test_sentence_given_twice_stays_twice(tmp_path):
    folder = write_refer(tmp_path)
    refs = [reference(0, "val")]
    refs[0]["sentences"] *= 2
    (folder / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))
    assert len(read_annotations(folder)) == 4


def test_texts_of_python_2(tmp_path):
    """Its plain strings are bytes: opcode U, which Python 3 cannot write."""
    file = tmp_path / "a.p"
    file.write_bytes(b"\x80\x02}U\x04sentU\x06caf\xc3\xa9!s.")
    assert load_plain_pickle(file) == {"sent": "caf\u00e9!"}


class Bite:
    """Writes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize("protocol", range(6))
def test_pickle_that_would_run_is_refused_by_name_and_does_not_run(tmp_path, protocol):
    folder, trap = write_refer(tmp_path / "refer"), tmp_path / "bitten"
    data = pickle.dumps([reference(0, "val"), Bite(str(trap))], protocol=protocol)
    (folder / "refs(unc).p").write_bytes(data)
    with pytest.raises(InputError, match=r"refs\(unc\)\.p is refused: it asks for .*mkdir"):
        read_annotations(folder)
    assert not trap.exists()
    pickle.loads(data)  # the trap itself works
    assert trap.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
        b"(S'1'\nibuiltins\neval\n.",  # INST
        pickle.dumps(print),
        pickle.dumps(InputError("x")),
    ],
)
def test_no_name_is_looked_up(tmp_path, data):
    (tmp_path / "a.p").write_bytes(data)
    with pytest.raises(InputError, match="is refused: it asks for "):
        load_plain_pickle(tmp_path / "a.p")


@pytest.mark.parametrize("data", [b"", b"junk", b"\x80\x04K", b"\x82\x01.", b"P1\n.", b"N}b."])
def test_junk_is_no_pickle(tmp_path, data):
    (tmp_path / "a.p").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.p cannot be read as a pickle"):
        load_plain_pickle(tmp_path / "a.p")


def test_plain_types_pass(tmp_path):
    plain = [1, -2.5, "a", None, True, (1, {"b": [2**70]}), {}, b"bytes"]
    for protocol in range(3, 6):
        (tmp_path / "a.p").write_bytes(pickle.dumps(plain, protocol=protocol))
        assert load_plain_pickle(tmp_path / "a.p") == plain


def edited(**changes):
    refs = [reference(0, "val"), reference(1, "val")]
    refs[1].update(changes)
    return refs


@pytest.mark.parametrize(
    ("refs", "words"),
    [
        (edited(ref_id=300), r"reference 2 of .* has the ref_id 300 of another"),
        (edited(split="testC"), r"reference 2 of .* in the split 'testC': use one of train, val"),
        (edited(image_id=1), "reference 2 of .* not as REFER has them .KeyError: 1"),
        (edited(ann_id=1), "reference 2 of .* not as REFER has them .KeyError: 1"),
        (edited(sentences=None), "reference 2 of .* not as REFER has them"),
        (edited(sentences=[{"sent": "", "raw": " ", "sent_id": 0}]), "2 of .* an empty sentence"),
        (
            edited(ann_id=7000),
            "reference 2 of .* the annotation 7000, of the image",
        ),
        ([3], "reference 1 of .* not as REFER has them"),
        ([], "holds no list of references"),
        ({"a": 1}, "holds no list of references"),
    ],
)
def test_wrong_references_are_named(tmp_path, refs, words):
    folder = write_refer(tmp_path)
    (folder / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))
    with pytest.raises(InputError, match=words):
        read_annotations(folder)


def test_wrong_companions_are_named(tmp_path):
    folder = write_refer(tmp_path)
    (folder / "dets.json").write_text("[]")
    with pytest.raises(InputError, match=r"dets\.json holds no lists of boxes by image id"):
        read_annotations(folder)
    (folder / "instances.json").write_text("{}")
    with pytest.raises(InputError, match=r"instances\.json holds no instances of COCO"):
        read_annotations(folder)
    (folder / "instances.json").unlink()
    with pytest.raises(InputError, match=r"instances\.json cannot be read"):
        read_annotations(folder)


@pytest.mark.parametrize(
    ("rows", "changes"), [("images", {"width": 9}), ("annotations", {"bbox": [1]})]
)
def test_an_id_for_two_things_is_refused(tmp_path, rows, changes):
    folder = write_refer(tmp_path)
    file = folder / "instances.json"
    tree = json.loads(file.read_text())
    first = tree[rows][0]
    file.write_text(json.dumps({**tree, rows: [*tree[rows], first]}))
    assert len(read_annotations(folder)) == 12  # the same again does no harm
    file.write_text(json.dumps({**tree, rows: [*tree[rows], {**first, **changes}]}))
    with pytest.raises(InputError, match=f"The {rows} of .* have the id {first['id']} twice"):
        read_annotations(folder)


def test_pictures_without_detections_are_counted(tmp_path, capsys):
    folder = write_refer(tmp_path)
    found = json.loads((folder / "dets.json").read_text())
    bare = str(reference(3, "val")["image_id"])
    (folder / "dets.json").write_text(json.dumps({k: v for k, v in found.items() if k != bare}))
    assert len(read_annotations(folder)) == 12
    out = capsys.readouterr().out
    assert f"no boxes for 1 of 3 pictures to evaluate, the first is {bare}" in out
    (folder / "dets.json").write_text(json.dumps({bare: [{"box": [1, 2, 3, 4]}]}))
    with pytest.raises(InputError, match=r"dets\.json has .* for the image"):
        read_annotations(folder)


def test_one_of_several_references_is_named_by_its_file(tmp_path):
    folder = write_refer(tmp_path)
    (folder / "refs(google).p").write_bytes((folder / "refs(unc).p").read_bytes())
    with pytest.raises(InputError, match=r"2 files .*google.*unc.* --captions"):
        read_annotations(folder)
    assert len(read_annotations(folder / "refs(unc).p")) == 12
    (folder / "refs(google).p").unlink()
    (folder / "refs(unc).p").unlink()
    with pytest.raises(InputError, match="holds 0 files"):
        read_annotations(folder, "refcoco")


def test_albefs_list_has_texts_alone(tmp_path, capsys):
    rows = [
        {"image": name_of(number), "text": f"text {way}", "ref_id": number}
        for number in range(3)
        for way in range(2)
    ]
    file = tmp_path / "refcoco+_train.json"
    file.write_text(json.dumps(rows))
    found = convert(tmp_path, file)["train"]
    said = sorted((meta["ref_id"], s.columns["txt"].decode()) for s, meta in found)
    assert said == [(row["ref_id"], row["text"]) for row in rows]
    assert "read as albef_refcoco" in capsys.readouterr().out
    for wrong, words in (({}, "is no list"), ([{"image": "a"}], "Row 1 .* no text")):
        file.write_text(json.dumps(wrong))
        with pytest.raises(InputError, match=words):
            read_annotations(file, "albef_refcoco")
