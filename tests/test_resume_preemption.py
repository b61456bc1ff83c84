"""A run that is told to go saves its state, says how to go on, and goes on as if undisturbed."""

import os
import signal
import time

import program
import pytest
import seen
from test_resume_kill import run, whole  # noqa: F401 (a fixture)

GONE = 143
# Worker processes, where SIGTERM strikes, after how many steps, and the step it goes on with.
PLACES = {
    "twice": (0, [seen.term("on_train_batch_start", 4), seen.term("on_save_checkpoint", 5)], 5),
    "with its workers": (2, [seen.term("on_train_batch_start", 1, group=True)], 2),
    "at an epoch's last step": (0, [seen.term("on_train_batch_start", 5)], 6),
    "at a validation": (1, [seen.term("on_validation_batch_end", 3)], 3),
    "at the last step": (0, [seen.term("on_train_batch_start", 7)], 8),
}


def told(ended) -> str:
    """The path of the line that says how to go on."""
    lines = [line for line in ended.out.splitlines() if line.startswith("SIGTERM")]
    assert len(lines) == 1, ended.out
    return lines[0].split("--ckpt_path ")[1]


@pytest.mark.parametrize("place", PLACES)
def test_run_that_was_told_to_go_goes_on(place, whole, corpus, tmp_path):  # noqa: F811
    workers, strikes, kept = PLACES[place]
    ended = run(corpus, tmp_path, *strikes, workers=workers)
    assert ended.code == GONE, ended.err
    assert "Traceback" not in ended.err
    path = told(ended)
    assert path == str(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert seen.last(tmp_path)["global_step"] == kept
    expected = seen.read(whole)
    assert seen.read(tmp_path) == expected[:kept]
    ended = run(corpus, tmp_path, flags=["--ckpt_path", path])
    assert ended.code == 0, ended.err
    assert seen.read(tmp_path) == expected
    for tag in ("train/loss", "val/recall"):
        assert program.scalars(tmp_path / "run")[tag] == program.scalars(whole / "run")[tag]


def test_a_signal_from_outside(corpus, tmp_path):
    overlays = [seen.overlay(tmp_path, steps=100_000)]
    args = program.arguments("fit", corpus, tmp_path, overlays=overlays)
    running = program.start(program.main, (args,), tmp_path)
    lines = tmp_path / "seen" / "0.jsonl"
    end = time.monotonic() + 60
    while not lines.exists() and time.monotonic() < end:
        time.sleep(0.05)
    os.kill(running.process.pid, signal.SIGTERM)
    ended = program.finish(running)
    assert ended.code == GONE, ended.err
    assert seen.last(tmp_path)["global_step"] == len(seen.read(tmp_path))


def test_slurm_is_asked_to_requeue_and_the_job_goes_on(whole, corpus, tmp_path):  # noqa: F811
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    (folder / "scontrol").chmod(0o755)
    slurm = {"NTASKS": "1", "JOB_NAME": "train", "JOB_ID": "4711"}
    slurm |= {"PROCID": "0", "LOCALID": "0", "NODEID": "0"}
    place = {f"SLURM_{name}": value for name, value in slurm.items()}
    place["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    requeue = {"hook": "on_after_backward", "steps": 4, "number": int(signal.SIGUSR1)}
    strikes = [requeue, seen.term("on_train_batch_start", 6)]
    ended = run(corpus, tmp_path, *strikes, environment=place)
    assert ended.code == GONE, ended.err
    assert (tmp_path / "asked").read_text() == "requeue 4711\n"
    assert (tmp_path / "hpc_ckpt_1.ckpt").is_file()
    before = seen.read(tmp_path)
    assert len(before) == 7  # Slurm ends the job when it likes
    ended = run(corpus, tmp_path, environment=place)  # the same command, as Slurm gives it
    assert ended.code == 0, ended.err
    after = seen.read(tmp_path)[len(before) :]
    assert after == seen.read(whole)[5:]
