"""The demo of all tasks: its runs, what it keeps of them, and what it prints."""

import json
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import blind, tasks
from data_modules.write import Pair, write_shards

REPORTS = {
    "retrieval": {
        "itm": {"i2t": {"r1": 0.5, "r5": 0.9}, "t2i": {"r1": 0.3, "r5": 0.8}},
        "chance_r1": 0.002,
    },
    "vqa": {"accuracy": 0.7, "majority": 0.2},
    "nlvr2": {"accuracy": 0.8, "majority": 0.5},
    "snli_ve": {"accuracy": 0.6, "majority": 0.34},
    "grounding": {"pointing": 0.9, "box_share": 0.1},
}
OTHER = {"answers": ["2"], "label": False}
SECONDS = {"train_seconds": 60.0}
VALUES = {"retrieval": 0.4, "vqa": 0.7, "nlvr2": 0.8, "snli_ve": 0.6, "grounding": 0.9}


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """Runs that have their reports; those from scratch have half of everything but chance."""
    for task, report in REPORTS.items():
        write(tmp_path / task, report)
        half = {
            k: v if k in ("chance_r1", "majority", "box_share") else halved(v)
            for k, v in report.items()
        }
        write(tmp_path / f"{task}-scratch", half)
    for name in ("pretrain", "nlvr2-pretrain", "nlvr2-pretrain-scratch"):
        write(tmp_path / name, {})
    return tmp_path


def halved(value):
    return {k: halved(v) for k, v in value.items()} if isinstance(value, dict) else value / 2


def write(run: Path, report: dict) -> None:
    run.mkdir()
    (run / "report.json").write_text(json.dumps(report | SECONDS))


def test_figures_of_all_tasks_are_kept_and_printed(done, capsys, monkeypatch):
    monkeypatch.setattr(tasks.subprocess, "run", lambda *a, **k: pytest.fail("nothing is to run"))
    tasks.main(["--runs", str(done)])
    kept = json.loads((done / "tasks.json").read_text())
    assert {task: each["value"] for task, each in kept.items()} == pytest.approx(VALUES)
    for task, each in kept.items():
        assert each["scratch"] == pytest.approx(VALUES[task] / 2)
        assert each["seconds"] == (240 if task == "nlvr2" else 120)
    assert kept["retrieval"]["chance"] == 0.002
    assert kept["grounding"]["chance"] == 0.1
    lines = capsys.readouterr().out.splitlines()
    shown = {line.split()[0]: line.split()[-3:] for line in lines if line.split()[0] in VALUES}
    assert shown["nlvr2"] == ["50.0", "40.0", "80.0"]
    assert set(shown) == set(VALUES)


def test_only_what_has_no_report_runs_and_failure_ends_it(done, monkeypatch, capsys):
    (done / "vqa" / "report.json").unlink()
    ran = []

    class Ended:
        returncode = 3

    def run(words, **given):
        ran.append(words)
        assert not given["check"]
        given["stdout"].write("it broke\n")
        return Ended()

    monkeypatch.setattr(tasks.subprocess, "run", run)
    with pytest.raises(SystemExit) as end:
        tasks.main(["--runs", str(done)])
    assert end.value.code == 3
    assert "vqa failed" in (said := capsys.readouterr().out)
    assert "it broke" in said
    (words,) = ran
    start = str(done / "pretrain" / "checkpoints" / "last.ckpt")
    assert words[words.index("--model.init_args.init_from") + 1] == start
    assert "--trainer.logger.init_args.version=vqa" in words


def test_what_all_took_is_kept_if_nothing_was_there(tmp_path, done, monkeypatch):
    tasks.main(["--runs", str(done)])
    assert not (done / "whole.json").exists()  # all had run before: no time of anything

    class Ended:
        returncode = 0

    def run(words, **_):
        name = next(w.split("=")[1] for w in words if "logger.init_args.version" in w)
        report = REPORTS["vqa"] if "vqa" in name else {}
        write(tmp_path / "anew" / name, report)
        return Ended()

    ticks = iter((100.0, 100.0 + 90))
    monkeypatch.setattr(tasks, "commit", lambda: "abc")
    monkeypatch.setattr(tasks, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    monkeypatch.setattr(tasks.subprocess, "run", run)
    tasks.main(["--runs", str(tmp_path / "anew"), "--tasks", "vqa", "--jobs", "1"])
    whole = json.loads((tmp_path / "anew" / "whole.json").read_text())
    assert (whole["minutes"], whole["jobs"]) == (1.5, 1)
    assert whole["machine"]
    assert whole["commit"] == "abc"


def test_nlvr2_goes_through_its_own_pretraining(done, monkeypatch):
    for name in ("nlvr2-pretrain", "nlvr2"):
        (done / name / "report.json").unlink()
    starts = {}

    class Ended:
        returncode = 0

    def run(words, **given):
        assert given["env"]["OMP_NUM_THREADS"] == "3"
        name = next(w.split("=")[1] for w in words if "logger.init_args.version" in w)
        starts[name] = words[words.index("--model.init_args.init_from") + 1]
        (done / name / "report.json").write_text(json.dumps(REPORTS["nlvr2"] | SECONDS))
        return Ended()

    monkeypatch.setattr(tasks.subprocess, "run", run)
    monkeypatch.setattr(tasks.os, "cpu_count", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    tasks.main(["--runs", str(done), "--tasks", "nlvr2", "--jobs", "2"])
    assert starts == {
        "nlvr2-pretrain": str(done / "pretrain" / "checkpoints" / "last.ckpt"),
        "nlvr2": str(done / "nlvr2-pretrain" / "checkpoints" / "last.ckpt"),
    }


def test_scratch_does_not_wait_for_pretraining(done, monkeypatch):
    for name in ("pretrain", "vqa-scratch", "vqa"):
        (done / name / "report.json").unlink()
    together, ended = threading.Barrier(2, timeout=30), []

    class Ended:
        returncode = 0

    def run(words, **_):
        name = next(w.split("=")[1] for w in words if "logger.init_args.version" in w)
        if name != "vqa":
            together.wait()
        ended.append(name)
        report = REPORTS["vqa"] if "vqa" in name else {}
        (done / name / "report.json").write_text(json.dumps(report | SECONDS))
        return Ended()

    monkeypatch.setattr(tasks.subprocess, "run", run)
    tasks.main(["--runs", str(done), "--tasks", "vqa"])
    assert ended[2:] == ["vqa"]


def test_every_task_of_the_demo_has_its_yaml():
    names = {path.stem for path in (tasks.CONF / "demo").glob("*.yaml")}
    assert names == {"scenes", "pretrain", *tasks.BETWEEN.values(), *tasks.FIGURES}
    assert all((tasks.CONF / f"{name}.yaml").is_file() for name in names - {"scenes"})


def test_text_alone_guesses_by_training():
    train = [("is it red?", "no"), ("is it red?", "yes"), ("is it red?", "yes"), ("how many?", "2")]
    train += [("what?", "no")] * 2
    # "no" is the commonest of all, thrice; of equals the first by name.
    test = [("is it red?", "yes"), ("is it red?", "no"), ("how many?", "2"), ("where?", "no")]
    assert blind.blind(train, test) == 3 / 4
    assert blind.blind([("a", "z"), ("a", "b")], [("a", "b"), ("a", "z")]) == 1 / 2


def test_what_needs_no_picture_is_read_from_shards(tmp_path):
    notes = {"vqa": {"answers": ["1"]}, "nlvr2": {"label": True}, "snli_ve": {"label": "neutral"}}
    for task, said in notes.items():
        for part, texts in (("train", ["a", "b"]), ("test", ["a", "c"])):
            pairs = [
                Pair(str(number), b"", "jpg", [text], said if text != "c" else OTHER)
                for number, text in enumerate(texts)
            ]
            write_shards(pairs, tmp_path / task / part)
    boxes = [[0, 0, 4, 4], [40, 20, 20, 20], [40, 20, 9, 20]]  # the second holds the middle
    meant = [{"box": box, "size": [100, 60]} for box in boxes]
    write_shards(
        [Pair(str(n), b"", "jpg", ["a"], said) for n, said in enumerate(meant)],
        tmp_path / "grounding" / "test",
    )
    blind.main(["--scenes", str(tmp_path), "--output", str(tmp_path / "blind.json")])
    assert json.loads((tmp_path / "blind.json").read_text()) == {
        **dict.fromkeys(notes, 0.5),
        "grounding": 0.3333,
    }
