"""Retrieval through the program: zero-shot from pretraining, and fine-tuning on real photos."""

import json

import program
import pytest
from real import unpacked


def report_of(args: list[str], runs) -> tuple[dict, program.Ended]:
    ended = program.here(args)
    assert ended.code == 0, ended.err
    return json.loads((runs / "run" / "report.json").read_text()), ended


def test_zero_shot_is_what_pretraining_scores_itself(fitted, corpus, tmp_path):
    """`init_from` alone: no fit, no checkpoint of retrieval's own."""
    weights = fitted / "checkpoints" / "last.ckpt"
    args = program.arguments("test", corpus, tmp_path, task="retrieval")
    report, ended = report_of([*args, "--model.init_args.init_from", str(weights)], tmp_path)
    before = json.loads((fitted / "report.json").read_text())
    assert report["itc"] == before["itc"]
    assert report["itm"] == before["itm"]
    assert "drawn at random" not in ended.err
    assert "5 unexpected: words.bias" in ended.out  # pretraining's word head and its twin
    assert "missing" not in ended.out


def test_a_checkpoint_of_pretraining_is_not_resumed_but_named(fitted, corpus, tmp_path):
    weights = fitted / "checkpoints" / "last.ckpt"
    args = program.arguments("test", corpus, tmp_path, task="retrieval")
    ended = program.here([*args, "--ckpt_path", str(weights)])
    assert ended.code == 1
    assert "PretrainTask" in ended.err
    assert "init_from" in ended.err


def test_coco_photos_from_json_to_recalls(tmp_path):
    """26 photos with five captions each: converted, trained on in turn, tested with all."""
    folder, output = unpacked("coco_mini.tar", tmp_path / "in"), tmp_path / "coco"
    table = folder / "annotations" / "captions_train2017.json"
    flags = f"--images {folder / 'train2017'} --captions {table} --output {output}"
    shares = "--short_side 48 --val_share 0.2 --test_share 0.2"
    assert program.here(["data", "write", *flags.split(), *shares.split()]).code == 0
    args = program.arguments("fit", output, tmp_path, task="retrieval", splits=("val", "test"))
    args += ["--data.init_args.train", json.dumps([{"path": str(output / "train"), "weight": 5}])]
    report, ended = report_of([*args, "--then_test", "true"], tmp_path)
    assert (report["test_size"], report["captions"], report["steps"]) == (5, 25, 2)
    assert report["chance_r1"] == pytest.approx(1 / 5)
    assert report["itm"]["t2i"]["r5"] == 1.0  # of five photos
    assert 0 <= report["itm"]["i2t"]["r1"] <= report["itm"]["i2t"]["r10"] <= 1
    assert "5 images, chance R@1 20.0 %" in ended.out
