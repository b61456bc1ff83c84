"""What the program makes of its flags, and what a run leaves behind."""

import json
import re
import sys
from pathlib import Path
from typing import NoReturn

import program
import pytest
import torch
import yaml
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningCLI

from softmask.cli import SoftMaskCLI, follow_tokenizer
from softmask.errors import InputError
from softmask.program import ASKING, LIGHTNING

RECALLS = {"r1", "r5", "r10"}
LOGGED = {
    *(f"train/{name}" for name in ("itc", "itm", "mlm", "soft", "loss")),
    *(f"train/{name}" for name in ("temperature", "alpha", "grad_norm", "mask_mean", "empty_maps")),
    *(f"train/accuracy/{part}{of}" for part in ("", "masked_") for of in ("pairs", "negatives")),
    *(f"perf/{name}" for name in ("samples_per_second", "seconds_per_step", "data_wait")),
    *(f"val/{s}/{d}@{k}" for s in ("itc", "itm") for d in ("i2t", "t2i") for k in (1, 5, 10)),
    *("val/itc/mean", "val/itm/mean", "val/recall"),
}


def merged(args: list[str]) -> dict:
    ended = program.here([*args, "--print_config"])
    assert ended.code == 0, ended.err
    return yaml.safe_load(ended.out)


@pytest.fixture(scope="session")
def last(fitted) -> Path:
    return fitted / "checkpoints" / "last.ckpt"


def test_files_merge_key_by_key_and_flags_win(corpus, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("model: {init_args: {contrast: {gamma: 1.5, alpha: 0.1}}}\n")
    flags = ["--model.init_args.contrast.alpha", "0.2", "--trainer.max_steps", "7"]
    flags += ["--model.init_args.backbone.init_args.fusion.init_args.heads", "4"]
    got = merged([*program.arguments("fit", corpus, tmp_path, overlays=[overlay]), *flags])
    task = got["model"]["init_args"]
    assert task["contrast"]["alpha"] == 0.2  # the flag
    assert task["contrast"]["gamma"] == 1.5  # the last file
    assert task["contrast"]["queue_size"] == 8  # the file before it
    assert task["contrast"]["momentum"] == 0.995  # the task
    assert task["contrast"]["per_row"] is False  # the default
    fusion = task["backbone"]["init_args"]["fusion"]["init_args"]
    assert (fusion["heads"], fusion["width"]) == (4, 16)
    assert got["trainer"]["max_steps"] == 7
    assert got["trainer"]["logger"]["init_args"]["save_dir"] == str(tmp_path)
    assert got["trainer"]["logger"]["class_path"].endswith("TensorBoardLogger")


def test_named_callbacks_merge_by_key(corpus, tmp_path):
    args = program.arguments("fit", corpus, tmp_path)
    got = merged([*args, "--checkpoint.every_n_train_steps", "3"])["checkpoint"]
    kept = {"monitor": "val/recall", "mode": "max", "save_top_k": 1, "every_n_train_steps": 3}
    assert {name: got[name] for name in kept} == kept


@pytest.mark.parametrize(
    ("words", "built"),
    [
        (["fit", "--print_config"], {"fit"}),
        (["test"], {"test"}),
        (["--help"], {"fit", "validate", "test", "predict"}),
        (["fits"], {"fit", "validate", "test", "predict"}),
        ({"subcommand": "fit"}, {"fit", "validate", "test", "predict"}),
        ([], {"fit", "validate", "test", "predict"}),
    ],
)
def test_parsers_are_built_for_what_is_asked(words, built, monkeypatch):
    found = {}
    monkeypatch.setattr(LightningCLI, "__init__", lambda cli, **_: found.update(cli.subcommands()))
    SoftMaskCLI(args=words)
    assert set(found) == built


def test_without_arguments_the_programs_own_are_read(monkeypatch):
    found = {}
    monkeypatch.setattr(LightningCLI, "__init__", lambda cli, **_: found.update(cli.subcommands()))
    monkeypatch.setattr(sys, "argv", ["softmask", "fit"])
    SoftMaskCLI(args=None)
    assert set(found) == {"fit"}


def test_help_and_mistakes_name_all_verbs():
    said = program.here(["--help"]).out + program.here(["fits"]).err
    assert all(said.count(verb) >= 2 for verb in ("fit", "validate", "test", "predict"))
    ended = program.here(["embd", "--model", "x"])
    assert ended.code == 1
    words = re.findall(r"\w+", ended.err.partition(": give one of ")[2])
    assert words == [*LIGHTNING, "data", "weights", *ASKING, "demo"]


def test_image_size_reaches_the_vit(corpus, last, tmp_path):
    flags = ["--data.init_args.image_size", "48", "--trainer.max_steps", "1"]
    assert program.here([*program.arguments("fit", corpus, tmp_path), *flags]).code == 0
    larger = tmp_path / "run" / "checkpoints" / "last.ckpt"
    tokens = [
        checkpoint(path)["state_dict"]["backbone.image.vit.pos_embed"].shape[1]
        for path in (last, larger)
    ]
    assert tokens == [1 + 2 * 2, 1 + 3 * 3]


@pytest.mark.parametrize("task", ["vqa", "caption"])
def test_what_writes_texts_takes_the_tokenizer_of_its_data(corpus_of, tmp_path, monkeypatch, task):
    def refuse(name: str) -> NoReturn:
        raise InputError(f"asked for {name}")

    monkeypatch.setattr(f"softmask.tasks.{task}.load_tokenizer", refuse)
    args = program.arguments("fit", corpus_of(task), tmp_path, task=task)
    said = program.refused(*args, "--data.init_args.text.tokenizer", "another")
    assert said == "softmask: asked for another"


def test_a_tokenizer_given_to_a_model_stays_where_its_data_name_none():
    def followed(text: object, **model: str) -> dict[str, str]:
        options = Namespace(**model)
        parts = {"data": Namespace(text=text), "model": options}
        follow_tokenizer(Namespace({f"{name}.init_args": each for name, each in parts.items()}))
        return vars(options)

    for text in (None, "a column", Namespace(max_tokens=9)):
        assert followed(text, tokenizer="mine") == {"tokenizer": "mine"}
    assert followed(Namespace(tokenizer="theirs"), tokenizer="mine") == {"tokenizer": "theirs"}
    assert followed(Namespace(tokenizer="theirs")) == {}
    follow_tokenizer({})


def test_a_run_keeps_its_best_and_its_last_weights(last):
    steps = {path.name: checkpoint(path)["global_step"] for path in last.parent.iterdir()}
    assert steps == {"epoch=0-step=3.ckpt": 3, "last.ckpt": 4}  # validated after step 3 alone


def checkpoint(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def check_report(report: dict) -> None:
    outer = {
        *("corpus", "data", "test_size", "captions", "chance_r1", "itc", "itm"),
        *("train_seconds", "steps", "k_test", "half_tokens"),
    }
    assert set(report) == outer | {"parameters"}
    for score in ("itc", "itm"):
        assert set(report[score]) == {"i2t", "t2i"}
        for recalls in report[score].values():
            assert set(recalls) == {*RECALLS, "interval"}
            assert set(recalls["interval"]) == RECALLS
            for name, (low, high) in recalls["interval"].items():
                assert 0 <= low <= recalls[name] <= high <= 1
            assert 0 <= recalls["r1"] <= recalls["r5"] <= recalls["r10"] == 1  # of six


def test_report_of_a_run_that_is_tested_after_it(fitted, corpus, last):
    report = json.loads((fitted / "report.json").read_text())
    check_report(report)
    assert report["corpus"] == str(corpus / "test")
    assert (report["test_size"], report["captions"], report["steps"]) == (6, 6, 4)
    splits = ("train", "val", "test")
    known = {each: json.loads((corpus / each / "index.json").read_text()) for each in splits}
    assert report["data"] == {split: index["hash"] for split, index in known.items()}
    assert report["chance_r1"] == pytest.approx(1 / 6)
    assert 0 < report["train_seconds"] < 120
    state = checkpoint(last)["state_dict"]
    own = [t for name, t in state.items() if not name.startswith(("momentum.", "queue."))]
    assert report["parameters"] == sum(tensor.numel() for tensor in own)


def test_result_is_printed_as_a_table(fitted):
    out = (fitted / "out.txt").read_text()
    report = json.loads((fitted / "report.json").read_text())
    recalls = report["itm"]["t2i"]
    cells = [
        f"{100 * recalls[k]:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        for k, (low, high) in recalls["interval"].items()
    ]
    row = next(
        line for line in out.splitlines() if line.startswith("re-ranked") and "text->" in line
    )
    assert row.split()[1:] == ["text->image", *" ".join(cells).split()]
    assert "contrastive image->text" in out
    for name in ("report.json", "soft_mask.png"):
        assert str(fitted / name) in out
        assert (fitted / name).stat().st_size > 0


def test_tensorboard_holds_every_figure(fitted):
    logged = program.scalars(fitted)
    assert set(logged) >= LOGGED
    assert {"lr/matrices", "lr/vectors", "lr/scalars"} <= set(logged)
    for name in ("train/loss", "train/itc", "perf/data_wait", "train/grad_norm"):
        assert list(logged[name]) == [0, 1, 2, 3]
    parts = (logged[f"train/{name}"] for name in ("itc", "itm", "mlm", "soft"))
    sums = [sum(values) for values in zip(*(part.values() for part in parts), strict=True)]
    assert list(logged["train/loss"].values()) == pytest.approx(sums)
    assert list(logged["train/alpha"].values()) == pytest.approx([0, 0.2, 0.4, 0.4])
    assert all(0 < mean < 1 for mean in logged["train/mask_mean"].values())
    assert all(0 <= share <= 1 for share in logged["perf/data_wait"].values())


def test_config_of_a_run_repeats_it(fitted, tmp_path):
    config = fitted / "config.yaml"
    flags = ["--trainer.logger.init_args.save_dir", str(tmp_path), "--then_test", "false"]
    flags += ["--trainer.log_every_n_steps", "2"]
    for _ in range(2):  # the second time into the folder of the first
        ended = program.here(["fit", "-c", str(config), *flags])
        assert ended.code == 0, ended.err
    first, second = program.scalars(fitted), program.scalars(tmp_path / "run")
    for tag in ("train/loss", "train/grad_norm", "train/mask_mean"):  # now every other step
        assert second[tag] == {step: first[tag][step] for step in (1, 3)}, tag
    again = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    given = yaml.safe_load(config.read_text())
    assert given["model"] == again["model"]
    assert given["data"] == again["data"]


def test_checkpoint_tests_as_the_run_did(fitted, corpus, last, tmp_path):
    args = program.arguments("test", corpus, tmp_path)
    assert program.here([*args, "--ckpt_path", str(last)]).code == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    check_report(report)
    assert report["train_seconds"] is None
    after = json.loads((fitted / "report.json").read_text())
    tested = {"test": after["data"]["test"]}  # this run opened nothing else
    assert report == {**after, "data": tested, "train_seconds": None}


def test_predictions_are_one_line_a_pair(corpus, last, tmp_path):
    args = program.arguments("predict", corpus, tmp_path)
    lines = []
    for size in ("4", "6"):
        flags = ["--ckpt_path", str(last), "--data.init_args.eval_batch_size", size]
        assert program.here([*args, *flags]).code == 0
        text = (tmp_path / "run" / "predictions.jsonl").read_text()
        lines.append([json.loads(line) for line in text.splitlines()])
    first, second = lines
    assert [line["position"] for line in first] == list(range(6))
    assert len({line["key"] for line in first}) == len({line["caption"] for line in first}) == 6
    for one, two in zip(first, second, strict=True):
        assert set(one) == {"key", "position", "caption", "similarity", "match"}
        assert -1 <= one["similarity"] <= 1
        assert 0 < one["match"] < 1
        assert one["match"] == pytest.approx(two["match"], rel=1e-4)
        assert one["similarity"] == pytest.approx(two["similarity"], abs=1e-5)
