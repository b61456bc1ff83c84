"""Figures in the README are those of the recorded run."""

import json
import runpy
from pathlib import Path

import yaml

from benchmarks.tasks import FIGURES
from softmask.backbone import Backbone
from softmask.nn import FusionEncoder, ImageEncoder, TextEncoder
from softmask.tasks import PretrainTask, SoftMasking

ROOT = Path(__file__).parent.parent


def test_readme_shows_the_recorded_result():
    filled = runpy.run_path(str(ROOT / "docs/fill_readme.py"))["filled"]
    report = json.loads((ROOT / "docs/results/demo/report.json").read_text())
    readme = (ROOT / "README.md").read_text()
    assert filled(readme, report) == readme
    assert filled(readme, {**report, "steps": -1}) != readme


def test_readme_shows_the_recorded_tasks():
    page = runpy.run_path(str(ROOT / "docs/fill_readme.py"))
    tasks, whole = page["read"]("tasks/tasks.json"), page["read"]("tasks/whole.json")
    readme = (ROOT / "README.md").read_text()
    assert page["filled_tasks"](readme, tasks, whole) == readme
    other = {**tasks, "vqa": {**tasks["vqa"], "value": 0.123}}
    assert "12.3" in page["filled_tasks"](readme, other, whole)


def test_readme_shows_how_each_kind_of_question_is_answered():
    page = runpy.run_path(str(ROOT / "docs/fill_readme.py"))
    readme = (ROOT / "README.md").read_text()
    tuned, scratch = page["read"]("tasks/vqa.json"), page["read"]("tasks/vqa-scratch.json")
    assert page["filled_kinds"](readme, tuned, scratch) == readme
    other = {**tuned, "by_type": {**tuned["by_type"], "where": 0.123}}
    assert "| 12 |" in page["filled_kinds"](readme, other, scratch)


def test_the_recorded_tasks_are_of_these_recipes():
    page = runpy.run_path(str(ROOT / "docs/fill_readme.py"))
    recipe = yaml.safe_load((ROOT / "conf/demo/pretrain.yaml").read_text())
    assert page["read"]("tasks/pretrain.json")["steps"] == recipe["trainer"]["max_steps"]
    assert set(page["read"]("tasks/tasks.json")) == set(FIGURES)


def test_the_recorded_run_is_of_this_recipe():
    report = json.loads((ROOT / "docs/results/demo/report.json").read_text())
    recipe = yaml.safe_load((ROOT / "conf/demo.yaml").read_text())
    sizes = yaml.safe_load((ROOT / "conf/backbone/tiny.yaml").read_text())
    backbone = Backbone(
        ImageEncoder(**sizes.pop("image"), image_size=64),
        TextEncoder(**sizes.pop("text")),
        FusionEncoder(**sizes.pop("fusion")),
        **sizes,
    )
    task = PretrainTask(backbone, soft_mask=SoftMasking(layer=0))
    count = sum(p.numel() for p in task.parameters() if p.requires_grad)
    assert report["steps"] == recipe["trainer"]["max_steps"]
    assert report["parameters"] == count
