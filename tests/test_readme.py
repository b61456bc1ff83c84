"""Figures in the README are those of the recorded run; commands of all pages are checked."""

import json
import re
import runpy
from itertools import pairwise
from pathlib import Path

import program
import pytest
import yaml
from commanded import SLURM, Checker, Wrong, planned, read_by_benchmark
from documented import COMMAND, OTHERS, PAGES, SHELL, Block, blocks, commands, name_of, spans
from world import build_world, copied

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
    tasks, *rest = map(page["read"], page["TASKS"])
    readme = (ROOT / "README.md").read_text()
    assert page["filled_tasks"](readme, tasks, *rest) == readme
    other = {**tasks, "vqa": {**tasks["vqa"], "value": 0.123}}
    assert "12.3" in page["filled_tasks"](readme, other, *rest)


def test_readme_shows_how_each_kind_of_question_is_answered():
    page = runpy.run_path(str(ROOT / "docs/fill_readme.py"))
    readme = (ROOT / "README.md").read_text()
    tuned, scratch = page["read"]("tasks/vqa.json"), page["read"]("tasks/vqa-scratch.json")
    assert page["filled_kinds"](readme, tuned, scratch) == readme
    other = {**tuned, "by_type": {**tuned["by_type"], "where": 0.123}}
    assert "| 12 |" in page["filled_kinds"](readme, other, scratch)


def test_readme_shows_how_often_words_look_at_what_they_name():
    page = runpy.run_path(str(ROOT / "docs/fill_readme.py"))
    readme = (ROOT / "README.md").read_text()
    probe = page["read"]("page/probe.json")
    assert page["filled_words"](readme, probe) == readme
    assert probe["hidden"]["count"] == probe["boxes"]["count"]
    for topic, said in (("hidden", "is named for 77 %"), ("boxes", "Grad-CAM for 77 %")):
        other = {**probe, topic: {**probe[topic], "pointing": 0.77}}
        assert said in page["filled_words"](readme, other)


def test_pictures_of_the_page_are_there_small_and_described():
    shown = re.findall(
        r'<img src="([^"]+)" width="49%" align="top" alt="([^"]+)">',
        (ROOT / "README.md").read_text(),
    )
    assert [Path(source).stem for source, _ in shown] == [
        "search",
        "words",
        "question",
        "statement",
    ]
    for source, alt in shown:
        assert (ROOT / source).stat().st_size < 150_000
        assert len(alt) > 80


def test_the_recorded_tasks_are_of_these_recipes():
    page = runpy.run_path(str(ROOT / "docs/fill_readme.py"))
    recipe = yaml.safe_load((ROOT / "conf/demo/pretrain.yaml").read_text())
    assert page["read"]("tasks/pretrain.json")["steps"] == recipe["trainer"]["max_steps"]
    assert set(page["read"]("tasks/tasks.json")) == set(FIGURES)


def test_the_recorded_run_is_of_this_recipe():
    report = json.loads((ROOT / "docs/results/demo/report.json").read_text())
    recipe = yaml.safe_load((ROOT / "conf/demo.yaml").read_text())
    sizes = yaml.safe_load((ROOT / "conf/backbone/local.yaml").read_text())
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


# --- what stands in code on the pages -----------------------------------------------------------

WITH_BLOCKS = [page for page in PAGES if blocks(page)]
FILE = re.compile(r"# ([\w-]+\.yaml)\n")
OWNERS = {
    *("model", "data", "trainer", "optim", "contrast", "soft_mask", "evaluation", "weights"),
    *("distillation", "text", "distortion", "store", "pointing", "ranking", "rerank", "search"),
    *("blocks", "matmul", "performance", "last", "checkpoint", "backbone", "image"),
}
"""What settings belong to."""
SETTING = re.compile(rf"(?:--)?((?:{'|'.join(sorted(OWNERS))})(?:\.[a-z_0-9]+)+)(?:[ :].*)?")
FLAG = re.compile(r"--[a-z_]+(?= |$)")
BENCHMARKS = ("ablation", "step", "tasks")
PROGRAMS = {
    "data": ("write", "check", "stats", "index", "answers", "emoji", "scenes"),
    "weights": ("inspect", "convert", "export"),
    **dict.fromkeys(("explain", "score", "embed", "search", "export", "demo", "fit"), ("",)),
}


@pytest.fixture(scope="session")
def world(fitted, tmp_path_factory):
    return build_world(tmp_path_factory.mktemp("world") / "world", fitted)


@pytest.fixture
def checker(world, tmp_path, monkeypatch):
    own = copied(world, tmp_path / "world")
    monkeypatch.chdir(own)
    return Checker(own)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_say_their_language_and_commands_are_marked(page):
    for block in blocks(page):
        assert block.language in SHELL | OTHERS, f"{block.place} is in {block.language}"
        if block.language not in SHELL:
            hidden = [line for line in block.text.splitlines() if COMMAND.match(line)]
            assert not hidden, f"{block.place} has commands: begin it with ```sh"


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
def test_every_command_does(page, checker):
    """In the order of the page: what one command writes the next one reads."""
    for block in blocks(page):
        if block.language == "yaml":
            name = FILE.match(block.text)
            assert name, f"{block.place}: say in the first line which file it is"
            (checker.world / name[1]).write_text(block.text)
        elif block.language == "python":
            exec(compile(block.text, block.place, "exec"), {"__name__": "page"})
        elif block.language in SHELL:
            for command in commands(block):
                checker.check(command)


def test_every_yaml_of_a_page_is_used():
    for page in WITH_BLOCKS:
        found = [FILE.match(block.text) for block in blocks(page) if block.language == "yaml"]
        for name in found:
            assert f"-c {name[1]}" in page.read_text(), f"{page} shows {name[1]} and never uses it"


TRAIN = "-c conf/trainer/cpu.yaml -c conf/pretrain.yaml"
WRONG = {
    f"softmask fit {TRAIN} --model.init_args.optim.lrr 1": "lrr",
    f"softmask fit {TRAIN} --data.init_args.batch_size 60": "60",
    "softmask fit -c conf/trainer/cpu.yaml -c conf/nowhere.yaml": "nowhere",
    "softmask test -c conf/vqa.yaml --model.init_args.answers no.json": "no.json",
    "softmask predict -c conf/retrieval.yaml --ckpt_path no.ckpt": "no.ckpt",
    "softmask train": "train",
    "softmask data write --images pictures/ --captoins captions.csv": "captoins",
    "softmask data emoji --output out/ --colour red": "colour",
    "softmask score --model runs/pretrain --image dog.jpg --text dog": "dog.jpg",
    "softmask demo --model shared/ --porte 1": "porte",
    "softmask weights export runs/pretrain --push a/b --secret true": "secret",
    "make pretrian": "pretrian",
    "make test-vqa": "CKPT",
    'make pretrain ARGS="--blocks.speed true"': "speed",
    "torchrun --nprocs 8 -m softmask fit": "nprocs",
    f"torchrun --nproc_per_node 3 -m softmask fit {TRAIN} --trainer.strategy ddp": "192",
    "srun --node 4 softmask fit": "--node",
    "pip install 'softmask[everything]'": "everything",
    "python -m benchmarks.ablation --data emoji --sedes 0": "sedes",
    "python -m benchmarks.step --presets gpu": "presets",
    "python -m benchmarks.nothing": "nothing",
    "softmask data stats --path data/emoji/train | head": "no check",
    "curl softmask": "no check",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:50])
def test_a_wrong_command_is_found(text, world, monkeypatch):
    monkeypatch.chdir(world)
    (command,) = commands(Block("page:1", "sh", text))
    with pytest.raises(Wrong, match=WRONG[text]):
        Checker(world).check(command)


@pytest.fixture(scope="session")
def settings():
    """Pairs of names, one within the other, of what tasks can be told."""
    found: set[tuple[str, str]] = set()
    for task in ("pretrain", "retrieval", "vqa", "nlvr2", "grounding", "caption", "zeroshot"):
        verb = "test" if task == "zeroshot" else "fit"
        files = ["-c", str(program.CONF / "trainer/cpu.yaml")]
        files += ["-c", str(program.CONF / f"{task}.yaml")]
        ended = program.here([verb, *files, "--print_config"])
        assert ended.code == 0, ended.err
        found |= pairs(plain(yaml.safe_load(ended.out)))
    return found


def plain(value):
    """Without `class_path` and `init_args`."""
    if not isinstance(value, dict):
        return value
    inner = value.get("init_args", {}) if "class_path" in value else value
    return {name: plain(each) for name, each in (inner or {}).items()}


def pairs(tree):
    inner = {(a, b) for a, sub in tree.items() if isinstance(sub, dict) for b in sub}
    return inner.union(*(pairs(sub) for sub in tree.values() if isinstance(sub, dict)))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_named_on_a_page_exist(page, settings):
    for span in spans(page):
        found = SETTING.fullmatch(span)
        if found and not found[1].endswith((".py", ".ckpt", ".png")):
            names = [name for name in found[1].split(".") if name != "init_args"]
            for pair in pairwise(names):
                assert pair in settings, f"{name_of(page)} names `{span}`"


@pytest.fixture(scope="session")
def flags():
    """Of all programs of which the pages speak."""
    said = [read_by_benchmark(f"benchmarks.{name}", ["--help"]) for name in BENCHMARKS]
    for verb, parts in PROGRAMS.items():
        for part in parts:
            ended = program.here([*filter(None, (verb, part)), "--help"])
            assert ended.code == 0, ended.err
            said.append(ended.out)
    return SLURM.union(*(re.findall(r"--[a-z_]+", text) for text in said))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_flags_named_on_a_page_exist(page, flags):
    for span in spans(page):
        if span.startswith(("--", "softmask ")):
            for flag in FLAG.findall(span):
                assert flag in flags, f"{name_of(page)} names `{span}`"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_targets_named_on_a_page_exist(page):
    named = {m[1] for span in spans(page) if (m := re.match(r"make ([a-z][\w-]*)", span))}
    if named:
        planned(*sorted(named), "CKPT=some.ckpt")
