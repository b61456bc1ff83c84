"""The program on two ranks that it starts itself."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import program
import pytest
import torch


@pytest.fixture(scope="module")
def two(corpus, tmp_path_factory):
    """The folder of the shared run's counterpart: half a batch on each of two ranks."""
    runs = tmp_path_factory.mktemp("two")
    args = program.arguments("fit", corpus, runs)
    args += ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.init_args.batch_size"]
    args += ["2", "--trainer.max_steps", "4", "--then_test", "true", "--performance.every", "1"]
    command = [sys.executable, "-m", "softmask", *args]
    with (runs / "out.txt").open("w") as out:
        running = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
        try:
            code = running.wait(timeout=120)
        finally:  # the rank that the first one started goes with it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
    assert code == 0, (runs / "out.txt").read_text()[-3000:]
    return runs / "run"


def test_steps_and_report_are_those_of_one_process(two, fitted):
    one, both = (json.loads((run / "report.json").read_text()) for run in (fitted, two))
    for key in ("corpus", "test_size", "chance_r1", "steps", "parameters"):
        assert both[key] == one[key], key
    assert both.keys() == one.keys()
    assert both["itm"]["t2i"]["r10"] == 1


def test_report_and_page_are_written_once(two):
    """Both ranks have ended by now: neither waited for the other one to write."""
    for name in ("report.json", "report.html"):
        assert [path.parent for path in two.parent.rglob(name)] == [two]
    said = (two.parent / "out.txt").read_text()
    assert said.count("Page:  ") == 2  # after fit and after test, by one rank
    assert "could not be written" not in said
    page = (two / "report.html").read_text()
    assert "Not tested yet" not in page
    assert page.rstrip().endswith("</html>")


def test_same_pairs_went_through_the_queue(two, fitted):
    one, both = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in (fitted, two)
    )
    assert both["queue.image_id"].equal(one["queue.image_id"])
    assert both["queue.pointer"] == one["queue.pointer"]
    assert both["queue.image_id"].min() >= 0  # it is full


def test_figures_are_logged_once_for_all_ranks(two):
    writers = {path.name.split(".")[-2] for path in two.glob("events.*")}
    assert len(writers) == 1  # its process
    logged = program.scalars(two)
    assert list(logged["train/loss"]) == [0, 1, 2, 3]
    assert list(logged["val/recall"]) == [2]
    speed, seconds = (
        logged[f"perf/{name}"][3] for name in ("samples_per_second", "seconds_per_step")
    )
    assert speed * seconds == pytest.approx(4)  # pairs a step of both ranks
