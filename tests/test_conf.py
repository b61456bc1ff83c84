"""Every YAML of conf/ is executed: a new one is found by its folder, or fails the first test."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import program
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

from benchmarks.rows import IDEAS
from data_modules import WEAK, Distortion
from softmask.backbone import Backbone
from softmask.tasks import PretrainTask

VERBS = ("fit", "validate", "test", "predict")
WRITES = {
    "fit": "checkpoints/last.ckpt",
    "validate": "config.yaml",
    "test": "report.json",
    "predict": "predictions.jsonl",
}


def names(folder: str) -> list[str]:
    return sorted(path.stem for path in (program.CONF / folder).glob("*.yaml"))


def used_data() -> set[str]:
    tasks = [yaml.safe_load((program.CONF / f"{name}.yaml").read_text()) for name in names(".")]
    return {Path(task["data"]).stem for task in tasks}


def merged(args: list[str]) -> dict:
    """The configuration as the program understands it, without running it."""
    ended = program.here([*args, "--print_config"])
    assert ended.code == 0, ended.err
    return yaml.safe_load(ended.out)


def plain(value):
    """Without `class_path` and `init_args`, which the program adds to what a file says."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.get("init_args", value).items() if k != "class_path"}
    return value


def holds(whole, part) -> bool:
    if not isinstance(part, dict):
        return whole == part
    return all(key in whole and holds(whole[key], value) for key, value in part.items())


def test_no_yaml_is_left_out():
    folders = {path.parent.relative_to(program.CONF).as_posix() for path in all_yamls()}
    ablation = {"ablation", *(f"ablation/{name}" for name in (*IDEAS, "data", "preset"))}
    assert folders == {".", "backbone", "data", "demo", "overlay", "trainer"} | ablation
    assert used_data() == set(names("data"))  # each runs with the task that names it
    assert len(all_yamls()) == sum(len(names(folder)) for folder in folders)


def all_yamls() -> list[Path]:
    return [path for path in program.CONF.rglob("*") if path.suffix in (".yaml", ".yml")]


@pytest.mark.parametrize("path", all_yamls(), ids=lambda path: path.name)
def test_yaml_is_small_and_says_what_it_is(path):
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert len(lines) <= 40


@pytest.mark.parametrize("name", sorted({*names("data")} - {"emoji"}))
def test_data_of_published_recipes_says_what_becomes_of_signs(name):
    said = yaml.safe_load((program.CONF / "data" / f"{name}.yaml").read_text())
    assert said["init_args"]["text"]["punctuation"] in ("albef", "lavis")


def test_pictures_of_fine_tuning_are_written_large_enough_for_crops():
    """Of one size wherever it is named; grounding shows whole pictures."""
    repo = program.CONF.parent
    files = [*repo.glob("conf/data/*.yaml"), *repo.glob("docs/tasks/*.md"), repo / "README.md"]
    sizes = {
        file.name: set(re.findall(r"--short_side (\d+)", file.read_text(encoding="utf-8")))
        for file in files
    }
    assert {name: found for name, found in sizes.items() if found - {"480"}} == {
        "refcoco.yaml": {"384"},
        "grounding.md": {"384"},
    }
    assert len([name for name, found in sizes.items() if found]) >= 13


UNTRAINED = {"zeroshot"}
"""Tasks without training data, which say so when they are asked to fit."""


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("task", names("."))
def test_task_runs(task, verb, corpus_of, tmp_path):
    splits = set(program.SPLITS) - ({"train"} if task in UNTRAINED else set())
    args = program.arguments(verb, corpus_of(task), tmp_path, task=task, splits=splits)
    ended = program.here(args)
    if verb == "fit" and task in UNTRAINED:
        assert (ended.code, "learns nothing" in ended.err) == (1, True), ended.err
        return
    assert ended.code == 0, ended.err
    assert (tmp_path / "run" / WRITES[verb]).stat().st_size > 0


@pytest.mark.parametrize("task", sorted(set(names("demo")) - {"scenes"}))
def test_demo_of_a_task_runs(task, corpus_of, tmp_path):
    under = [program.CONF / "demo" / f"{name}.yaml" for name in ("scenes", task)]
    args = program.arguments("fit", corpus_of(task), tmp_path, task=task, under=under)
    ended = program.here([*args, "--then_test", "true"])
    assert ended.code == 0, ended.err
    assert json.loads((tmp_path / "run" / "report.json").read_text())["train_seconds"] > 0


# What a run under each overlay shows; one without a line here fails.
SHOWS: dict[str, Callable[[dict[str, dict[int, float]], Path], bool]] = {
    "albef": lambda logged, run: "train/itc" in logged and "train/soft" not in logged,
    "debug": lambda logged, run: len(logged["val/recall"]) == 1,
    "overfit": lambda logged, run: set(logged["epoch"].values()) == {0, 1, 2},
    "profile": lambda logged, run: "training_step" in (run / "fit-profile.txt").read_text(),
}


@pytest.mark.parametrize("name", names("overlay"))
def test_overlay_wins_and_does_what_its_name_says(name, corpus, tmp_path):
    overlay = program.CONF / "overlay" / f"{name}.yaml"
    told = plain(yaml.safe_load(overlay.read_text()))
    splits = set(program.SPLITS) - set(told.get("data", {}))
    args = program.arguments("fit", corpus, tmp_path, overlays=[overlay], splits=splits)
    assert holds(plain(merged(args)), told)
    assert not holds(plain(merged(program.arguments("fit", corpus, tmp_path))), told)
    flags = ["--trainer.max_steps", "3", "--trainer.log_every_n_steps", "1"]
    ended = program.here([*args, *flags])
    assert ended.code == 0, ended.err
    run = tmp_path / "run"
    assert SHOWS[name](program.scalars(run), run)


def test_albef_overlay_switches_every_idea_off(corpus, tmp_path):
    overlay = program.CONF / "overlay" / "albef.yaml"
    given = plain(merged(program.arguments("fit", corpus, tmp_path, overlays=[overlay])))
    task, data = given["model"], given["data"]
    assert (task["contrast"]["gamma"], task["contrast"]["match_ids"]) == (0, False)
    assert (task["soft_mask"]["weight"], data["text"]["augment"]) == (0, "none")
    ranges = {
        name: tuple(v) if isinstance(v, list) else v for name, v in data["distortion"].items()
    }
    assert replace(Distortion(**ranges), jitter=WEAK.jitter, blur_sigma=WEAK.blur_sigma) == WEAK


@pytest.mark.parametrize("name", names("backbone"))
def test_backbone_is_what_its_file_says_and_works(name, corpus, tmp_path):
    path = program.CONF / "backbone" / f"{name}.yaml"
    told = yaml.safe_load(path.read_text())
    args = program.arguments("fit", corpus, tmp_path)[:5]  # machine and task alone
    given = merged([*args, "--model.init_args.backbone", str(path)])
    assert holds(plain(given)["model"]["backbone"], told)
    with torch.device("meta"):
        backbone = build(told)
        ids, mask = torch.zeros(2, 5, dtype=torch.long), torch.ones(2, 5, dtype=torch.bool)
        tokens, image = backbone.encode_image(torch.zeros(2, 3, 256, 256))
        states, text = backbone.encode_text(ids, mask)
        fused = backbone.fuse(states, mask, backbone.project(tokens))
    assert image.shape == text.shape == (2, told["embed_dim"])
    assert fused.shape == (2, 5, told["fusion"]["width"])
    assert len(backbone.fusion.layers) == told["fusion"]["layers"]


@pytest.mark.parametrize("name", names("backbone"))
def test_a_size_after_another_leaves_nothing_of_it(name, corpus, tmp_path):
    args = program.arguments("fit", corpus, tmp_path)[:5]
    size, other = (str(program.CONF / "backbone" / f"{part}.yaml") for part in (name, "local"))
    flag = "--model.init_args.backbone"
    after = merged([*args, flag, other, flag, size])["model"]["init_args"]["backbone"]
    assert after == merged([*args, flag, size])["model"]["init_args"]["backbone"]


def build(values: dict) -> Backbone:
    parser = ArgumentParser()
    parser.add_argument("--backbone", type=Backbone)
    return parser.instantiate(parser.parse_object({"backbone": values})).backbone


def test_base_backbone_is_the_papers():
    text = (program.CONF / "backbone" / "base.yaml").read_text()
    with torch.device("meta"):
        task = PretrainTask(build(yaml.safe_load(text)))
    trainable = sum(p.numel() for p in task.parameters() if p.requires_grad)
    assert f"{trainable / 1e6:.2f} M" in text


@pytest.mark.parametrize("name", names("trainer"))
def test_machine_runs_but_for_its_accelerator(name, corpus, tmp_path):
    path = program.CONF / "trainer" / f"{name}.yaml"
    told = yaml.safe_load(path.read_text())["trainer"]
    args = program.arguments("fit", corpus, tmp_path / "runs", machine=name)
    assert holds(plain(merged(args[:5]))["trainer"], plain(told))
    ended = program.apart([*args, "--trainer.precision", "bf16-mixed"], tmp_path)
    assert ended.code == 0, ended.err
    assert (tmp_path / "runs" / "run" / "checkpoints" / "last.ckpt").exists()
    assert ("gloo" in ended.err) == ("strategy" in told)
