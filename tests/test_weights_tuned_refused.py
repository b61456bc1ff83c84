"""Official files of fine-tuned ALBEF that are not as they should be, or go by another way."""

import json
import re

import official
import pytest
import torch
from official import HEADS, convert
from tuned_files import KINDS, made, write_all

from softmask.checkpoint import Content
from softmask.inspection import renamed
from softmask.kinds import recognise
from softmask.skeleton import check


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("official"))


@pytest.mark.parametrize("name", ["albef_vqav2_lavis.pt", "nlvr2.pth", "snli_ve.pth"])
def test_a_converted_file_becomes_the_same_folder(given, tmp_path, name):
    flags = ["--answers", given / "answer_list.json"] if "vqa" in name else []
    one = tmp_path / "one.safetensors"
    assert convert(given / name, "--output", one).code == 0
    direct, later = (
        made(file, tmp_path / file.stem, *flags) for file in (given / name, one)
    )  # fmt: skip
    assert direct.config == later.config
    weights = [tmp_path / stem / "model.safetensors" for stem in ((given / name).stem, "one")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def other_lists(folder):
    lists = {
        "twice.json": ["yes", "no", "yes"],
        "ids.json": {"yes": 0, "no": 1},
        "rows.json": [{"question_id": 1, "answer": "yes"}],
        "none.json": [],
    }
    for name, found in lists.items():
        (folder / name).write_text(json.dumps(found))
    return folder


@pytest.mark.parametrize(
    ("name", "flags", "words"),
    [
        ("vqa.pth", [], r"official ALBEF, VQA, which chooses .* give --answers FILE"),
        ("vqa.pth", ["--answers", "nowhere.json"], r"'nowhere.json' cannot be read"),
        ("vqa.pth", ["--answers", "{lists}/twice.json"], "hold 'yes' 2 times"),
        ("vqa.pth", ["--answers", "{lists}/ids.json"], "are no list of texts"),
        ("vqa.pth", ["--answers", "{lists}/rows.json"], "are no list of texts"),
        ("vqa.pth", ["--answers", "{lists}/none.json"], "are no list of texts"),
        ("nlvr2.pth", ["--answers", "{list}"], "--answers was given, but .* ALBEF, NLVR2, which"),
        ("snli_ve.pth", ["--double_first", "true"], "--double_first was given, but .* SNLI-VE"),
        ("retrieval.pth", ["--answers", "{list}"], "ALBEF, retrieval, which ranks no answers"),
    ],
)
def test_lists_that_are_missing_or_wrong_are_named(given, tmp_path, name, flags, words):
    places = {"lists": other_lists(tmp_path), "list": given / "answer_list.json"}
    flags = [flag.format(**places) for flag in flags]
    ended = convert(given / name, "--output", tmp_path / "out", *HEADS, *flags)
    assert ended.code == 1
    assert re.fullmatch(r"softmask: [^\n]*\n", ended.err)
    assert re.search(words, ended.err), ended.err
    assert not (tmp_path / "out").exists()


def test_a_list_is_kept_by_folders_alone(given, tmp_path):
    listed = ["--answers", given / "answer_list.json"]
    for flags in ([], ["--output", tmp_path / "x.safetensors"]):
        ended = convert(given / "vqa.pth", *flags, *listed)
        assert ended.code == 1
        assert "give --output FOLDER" in ended.err


HEADLESS = {
    "vqa": ("text_decoder.cls.predictions.transform.dense.bias", "decoder.words.dense.bias (16,)"),
    "nlvr2": ("cls_head.2.bias", "head.2.bias (2,)"),
    "snli_ve": ("cls_head_m.0.weight", "momentum.twin.head.0.weight (16, 16)"),
}


@pytest.mark.parametrize("kind", HEADLESS)
def test_a_head_with_a_tensor_lost_is_not_converted(given, tmp_path, kind):
    theirs, ours = HEADLESS[kind]
    content = torch.load(given / f"{kind}.pth", weights_only=True)
    del content["model"][theirs]
    content["model"]["text_encoder.stranger"] = torch.zeros(3)
    torch.save(content, tmp_path / "bad.pth")
    flags = ["--answers", given / "answer_list.json"] if kind == "vqa" else []
    ended = convert(tmp_path / "bad.pth", "--output", tmp_path / "out", *HEADS, *flags)
    assert ended.code == 1
    assert f"1 missing: {ours}" in ended.out
    assert "1 unexpected: stranger (3,)" in ended.out
    assert not (tmp_path / "out").exists()
    if kind != "snli_ve":  # what nothing but training reads may be missing
        again = convert(
            tmp_path / "bad.pth", "--output", tmp_path / "out", *HEADS, *flags, "--strict", "false"
        )
        assert again.code == 1
        assert ours.split(" ")[0] in again.err
        assert not (tmp_path / "out").exists()


def test_two_classes_alone_are_not_nlvr2(tmp_path):
    """A head of two classes on the layers of one image is somebody's own model."""
    state = official.albef("snli_ve")
    for twin in ("", "_m"):
        for part in ("weight", "bias"):
            state[f"cls_head{twin}.2.{part}"] = state[f"cls_head{twin}.2.{part}"][:2].clone()
    torch.save(state, tmp_path / "two.pth")
    ended = convert(tmp_path / "two.pth", "--output", tmp_path / "out", *HEADS)
    assert ended.code == 1
    assert "looks like official ALBEF, NLVR2, whose two images share keys and values" in ended.err
    for twin in ("", "_m"):
        for part, size in (("weight", (5, 16)), ("bias", (5,))):
            state[f"cls_head{twin}.2.{part}"] = torch.zeros(size)
    torch.save(state, tmp_path / "five.pth")
    ended = convert(tmp_path / "five.pth", "--output", tmp_path / "out", *HEADS)
    assert ended.code == 1
    assert "official ALBEF, a task of 5 classes) has no matching head and none of VQA" in ended.err


@pytest.mark.parametrize("task", ["pretrain", *KINDS])
def test_of_files_of_full_size_every_tensor_is_expected(task):
    with torch.device("meta"):
        state = {
            name: torch.empty(shape, dtype=getattr(torch, kind))
            for name, (kind, shape) in official.full_size(task).items()
        }
    kind = recognise(state, {}, "model.pth")
    ours = renamed(Content(state, {}), kind)
    report = check(kind, ours, "model.pth")
    assert (report.missing, report.unexpected, report.misshapen) == ([], [], [])
    assert set(report.matched) == set(ours)
