"""The ablation: its rows, its runs as real processes, and the line that each leaves."""

import contextlib
import io
import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import program
import pytest
import yaml

from benchmarks import ablation, recorded, rows
from benchmarks.lines import KEYS
from softmask.errors import InputError
from softmask.events import Events

SMALL = "performance: {every: 1}\ndata: {init_args: {text: {max_tokens: 12}}}\n"


def words_for(corpus: Path, folder: Path) -> list[str]:
    """A small ablation: two steps, tiny sizes."""
    small = folder / "small.yaml"
    small.write_text(SMALL)
    flags = {"shards": corpus, "runs": folder / "runs", "results": folder / "results"}
    words = [word for key, value in flags.items() for word in (f"--{key}", str(value))]
    overlay = ["--overlay", str(program.TINY), str(small)]
    few = ["--steps", "2", "--seeds", "3", "--points", "1", "--commit", "abc"]
    return ["--data", "emoji", *few, *words, *overlay]


@pytest.fixture
def asked(corpus, tmp_path):
    return words_for(corpus, tmp_path)


class Ran(NamedTuple):
    folder: Path
    words: list[str]
    code: int | str | None
    out: str


@pytest.fixture(scope="module")
def ran(corpus, tmp_path_factory):
    """Two rows at a time, of which one cannot train."""
    folder, real = tmp_path_factory.mktemp("ablation"), ablation.subprocess.run

    def run(words, **given):
        broken = "fit" in words and any("focal.yaml" in word for word in words)
        return real([*words, "--model.init_args.contrast.alpha=7"] if broken else words, **given)

    words = [*words_for(corpus, folder), "--rows", "focal", "soft_mask/two"]
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setattr(ablation.subprocess, "run", run)
        with pytest.raises(SystemExit) as end:
            ablation.main([*words, "--jobs", "2"])
    return Ran(folder, words, end.value.code, said.getvalue())


def lines(folder: Path) -> list[dict]:
    file = folder / "results" / "emoji.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_row_runs_once_and_leaves_its_line(ran, capsys, monkeypatch):
    (line,) = lines(ran.folder)
    assert [line[key] for key in KEYS] == ["emoji", "soft_mask/two", 3, 2, "tiny", "cpu", "steps"]
    assert {f"{name}/r1" for name in ablation.RECALLS} <= set(line["metrics"])
    assert not any("interval" in name for name in line["metrics"])
    assert line["probe"]["shortcut/masked/even/accuracy"] in {n / 6 for n in range(7)} | {
        recorded.short(n / 6) for n in range(7)
    }
    assert line["train"]["soft"] > 0
    assert line["train"]["loss"] > line["train"]["itc"] > 0
    assert list(line["curve"]) == ["2"]
    assert line["train_seconds"] > line["seconds_per_step"] > 0
    assert (line["commit"], line["jobs"]) == ("abc", 2)
    run = ran.folder / "runs" / "emoji-tiny-cpu-soft_mask.two-2-3"
    assert not (run / "checkpoints").exists()
    settings = yaml.safe_load((run / "config.yaml").read_text())
    assert settings["data"]["init_args"]["text"]["masks_per_pair"] == 2
    assert settings["model"]["init_args"]["contrast"]["gamma"] == 0
    assert settings["seed_everything"] == settings["data"]["init_args"]["seed"] == 3
    monkeypatch.setattr(ablation.subprocess, "run", lambda *a, **k: pytest.fail("it has its line"))
    ablation.main([*ran.words, "--rows", "soft_mask/two"])
    assert len(lines(ran.folder)) == 1
    assert "0 runs to do" in capsys.readouterr().out


def test_a_broken_run_leaves_no_line_and_stops_no_other(ran):
    assert ran.code == 1
    assert [line["row"] for line in lines(ran.folder)] == ["soft_mask/two"]
    assert "focal-2-3: FAILED" in ran.out
    folder = ran.folder / "runs" / "emoji-tiny-cpu-focal-2-3"
    assert "alpha" in (folder / "log.txt").read_text()


def test_what_a_broken_run_left_is_not_gone_on_with(asked, tmp_path, monkeypatch):
    folder = tmp_path / "runs" / "emoji-tiny-cpu-albef-2-3"
    (folder / "checkpoints").mkdir(parents=True)
    seen = []

    class Ended:
        returncode = 1

    def run(words, **_):
        seen.append((words, sorted(path.name for path in folder.iterdir())))
        return Ended()

    monkeypatch.setattr(ablation.subprocess, "run", run)
    with pytest.raises(SystemExit):
        ablation.main([*asked, "--rows", "albef"])
    ((words, left),) = seen
    assert left == ["log.txt"]
    assert words[1:4] == ["-m", "softmask", "fit"]


@pytest.mark.parametrize("row", ["nothing", "focal/nothing", "focal+focal/detach", "albef+focal"])
def test_an_unknown_row_is_refused_before_anything_runs(row, asked, capsys, monkeypatch):
    monkeypatch.setattr(ablation.subprocess, "run", lambda *a, **k: pytest.fail("nothing may run"))
    with pytest.raises(SystemExit):
        ablation.main([*asked, "--rows", "albef", row])
    assert f"no row {row!r}" in capsys.readouterr().err


def test_all_is_every_idea_by_its_default():
    names = [path.stem for path in rows.overlays("all")]
    assert names == ["albef", *rows.IDEAS]
    assert rows.overlays("mmda/text+focal")[1:] == [
        rows.FOLDER / f"{name}.yaml" for name in ("mmda", "mmda/text", "focal")
    ]


@cache
def settings(row: str, data: str, preset: str = "tiny") -> dict:
    """What the program makes of a row's files."""
    files = [
        *(program.CONF / f"{name}.yaml" for name in ablation.CORPORA[data].recipe),
        *ablation.preset_files(preset),
        *rows.overlays(row),
    ]
    words = [word for file in files for word in ("-c", str(file))]
    ended = program.here(["fit", *words, "--print_config"])
    assert ended.code == 0, ended.err
    found = yaml.safe_load(ended.out)
    return recorded_flat({name: found[name]["init_args"] for name in ("model", "data")})


def recorded_flat(tree: dict, prefix: str = "") -> dict:
    found = {}
    for name, value in tree.items():
        deeper = isinstance(value, dict)
        found |= recorded_flat(value, f"{prefix}{name}.") if deeper else {prefix + name: value}
    return found


@pytest.mark.parametrize("data", ablation.CORPORA)
def test_rows_differ_from_albef_by_what_they_are_named_for_alone(data):
    ground = settings("albef", data)
    mine = {
        "soft_mask": ("model.soft_mask.", "data.text.soft_words", "data.text.masks_per_pair"),
        "focal": ("model.contrast.gamma", "model.contrast.per_row", "model.contrast.detach"),
        "mmda": ("data.distortion.", "data.text.", "data.teacher_clean_image"),
    }
    for row in rows.choices():
        if row == "soft_mask/layer0" or ("/" in row and data != "emoji"):
            continue
        found = settings(row, data)
        changed = {name for name in found if found[name] != ground[name]}
        assert changed, row
        assert all(name.startswith(mine[row.partition("/")[0]]) for name in changed), changed
        if "/" in row:
            assert found != settings(row.partition("/")[0], data), row


def test_sizes_with_several_layers_to_map_have_another_one():
    for preset in ("deep", "small"):
        assert settings("soft_mask", "emoji", preset)["model.soft_mask.layer"] == 1
        assert settings("soft_mask/layer0", "emoji", preset)["model.soft_mask.layer"] == 0


def test_deep_differs_from_tiny_by_a_fusion_layer_to_map():
    tiny, deep = (settings("all", "emoji", preset) for preset in ("tiny", "deep"))
    assert {name: (tiny[name], deep[name]) for name in tiny if tiny[name] != deep[name]} == {
        "model.backbone.init_args.fusion.init_args.layers": (2, 3),
        "model.soft_mask.layer": (0, 1),
    }
    assert tiny.keys() == deep.keys()


def line(row: str, cost: float | None, jobs: int = 1) -> dict:
    return {"row": row, "seconds_per_step": cost, "jobs": jobs}


def test_equal_time_gives_a_dearer_row_fewer_steps():
    known = [line("albef", 0.2), line("all", 0.5), line("all", 0.3), line("all", 9.0, jobs=4)]
    known.append(line("all", None))
    assert recorded.steps_at_equal_time(known, "albef", "all", 100) == 50
    assert recorded.steps_at_equal_time(known, "albef", "albef", 100) == 100
    with pytest.raises(InputError, match="a step of focal takes"):
        recorded.steps_at_equal_time([*known, line("focal", 1, jobs=2)], "albef", "focal", 100)


def test_costs_of_another_machine_give_no_steps():
    words = ["--data", "emoji", "--budget", "time", "--rows", "all", "--seeds", "4"]
    given = ablation._parse([*words, "--steps", "100"])
    here = {"preset": "tiny", "device": "cpu", "machine": recorded.machine("cpu")}
    known = [line(row, cost) | here for row, cost in (("albef", 0.2), ("all", 0.4))]
    there = [{**x, "machine": "another", "seconds_per_step": 9.0} for x in known[1:]]
    (plan,) = ablation.plans(given, [*known, *there])
    assert (plan.steps, plan.budget, plan.seed) == (50, "time", 4)
    with pytest.raises(InputError, match="a step of all takes"):
        ablation.plans(given, [known[0], *there])


def test_ends_are_means_of_the_last_fifth():
    scalars = {"train/itm": {step: float(step) for step in range(10)}, "train/x": {3: 7.0}}
    assert recorded.train_ends(Events(scalars, {}, {})) == {"itm": 8.5, "x": 7.0}


def test_runs_share_the_cores(monkeypatch):
    monkeypatch.setattr(ablation.os, "cpu_count", lambda: 16)
    monkeypatch.delenv("OMP_NUM_THREADS")
    threads = [ablation.environment_of(*each)["OMP_NUM_THREADS"] for each in GIVEN]
    assert threads == ["16", "3", "1", "1"]
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert ablation.environment_of("cpu", 1)["OMP_NUM_THREADS"] == "7"


GIVEN = (("cpu", 1), ("cpu", 5), ("cpu", 32), ("cuda", 5))
