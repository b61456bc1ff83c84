"""Two ranks that are killed or told to go, and go on, also as another number of ranks."""

import contextlib
import os
import signal
import subprocess
import sys

import program
import pytest
import ranks
import seen
from test_resume import assert_equal

AGAIN = ("--ckpt_path", "last")
TWO = ("--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.init_args.batch_size", "2")
# Workers of each rank, where rank 1 is struck, after how many steps, and the step it goes on with.
PLACES = {
    "after a step": (0, "on_train_batch_end", 5, 4),
    "in the backward pass": (1, "on_after_backward", 4, 4),
    "at a validation": (4, "on_validation_batch_end", 6, 4),
}


def run(corpus, folder, *strikes, flags=(), workers=0):
    """Two ranks to their ends; one that hangs fails the test."""
    overlays = [seen.overlay(folder, *strikes)]
    args = program.arguments("fit", corpus, folder, overlays=overlays)
    args += [*TWO, "--data.init_args.workers", str(workers), *flags]
    return ranks.on_both(args, folder)


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    ended = run(corpus, folder)
    assert [one.code for one in ended] == [0, 0], ended[0].err
    return folder


def assert_same_end(one, two):
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        assert_equal(seen.last(one)[part], seen.last(two)[part], part)


@pytest.mark.parametrize("place", PLACES)
def test_killed_rank_ends_the_run_and_it_goes_on(place, whole, corpus, tmp_path):
    workers, hook, struck, kept = PLACES[place]
    strike = seen.kill(hook, struck, rank=1)
    ended = run(corpus, tmp_path, strike, workers=workers, flags=AGAIN)
    assert ended[1].code == -signal.SIGKILL
    assert ended[0].code != 0
    before = [len(seen.read(tmp_path, rank)) for rank in range(2)]
    ended = run(corpus, tmp_path, workers=workers, flags=AGAIN)
    assert [one.code for one in ended] == [0, 0], ended[0].err
    for rank in range(2):
        after = seen.read(tmp_path, rank)[before[rank] :]
        assert after == seen.read(whole, rank)[kept:]
    assert_same_end(tmp_path, whole)


def test_any_rank_may_be_told_to_go(whole, corpus, tmp_path):
    ended = run(corpus, tmp_path, seen.term("on_train_batch_start", 4, rank=1))
    assert [one.code for one in ended] == [143, 0], ended[0].err
    assert seen.last(tmp_path)["global_step"] == 5
    assert [one.out.count("SIGTERM: saved after step 5") for one in ended] == [1, 0]
    for number in range(2):
        assert seen.read(tmp_path, number) == seen.read(whole, number)[:5]
    ended = run(corpus, tmp_path, flags=AGAIN)
    assert [one.code for one in ended] == [0, 0], ended[0].err
    assert_same_end(tmp_path, whole)


def test_ranks_that_the_program_started_go_with_it(corpus, tmp_path):
    """Of such ranks Lightning kills the first as soon as another one ends with an error."""
    overlays = [seen.overlay(tmp_path, seen.term("on_train_batch_start", 4))]
    args = [*program.arguments("fit", corpus, tmp_path, overlays=overlays), *TWO]
    tests = str(program.REPO / "tests")
    place = {**os.environ, "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], tests])}
    with (tmp_path / "out.txt").open("w") as out:
        running = subprocess.Popen(
            [sys.executable, "-m", "softmask", *args],
            stdout=out,
            stderr=out,
            env=place,
            start_new_session=True,
        )
        try:
            code = running.wait(timeout=150)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
    assert code == 143, (tmp_path / "out.txt").read_text()[-3000:]
    assert seen.last(tmp_path)["global_step"] == 5


def test_a_run_goes_on_with_another_number_of_ranks(whole, corpus, tmp_path):
    ended = run(corpus, tmp_path, seen.kill("on_train_batch_end", 5, rank=0))
    assert ended[0].code == -signal.SIGKILL
    folder = tmp_path / "alone"
    args = program.arguments("fit", corpus, tmp_path, overlays=[seen.overlay(folder)])
    refused = program.here([*args, *AGAIN, "--data.init_args.batch_size", "2"])
    assert refused.code == 1
    assert "global_batch 4 but this run has 2: set data.init_args.batch_size to 4" in refused.err
    assert not (folder / "seen").exists()  # no step was taken
    alone = program.apart([*args, *AGAIN], folder)
    assert alone.code == 0, alone.err
    after = seen.read(folder)
    assert seen.steps(after) == [4, 5, 6, 7]
    both = [seen.read(whole, rank)[4:] for rank in range(2)]
    for line, *parts in zip(after, *both, strict=True):
        assert line["samples"] == [sample for part in parts for sample in part["samples"]]
