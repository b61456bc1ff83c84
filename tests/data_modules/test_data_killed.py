"""Real processes that are killed: what they wrote is whole, and none outlives its parent."""

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import program
import pytest
from converting import contents, write

from data_modules import pairs
from data_modules.parallel import in_processes
from softmask.errors import InputError


def slow_job(job):
    """Write a shard in a process that takes its time over each picture."""
    pairs.shrink = slow_shrink
    return pairs.write_job(job)


def slow_shrink(*args, real=pairs.shrink):
    time.sleep(0.01)
    return real(*args)


def slow_write(source: str, output: str, workers: int) -> None:
    """A run for a fresh process."""
    pairs.in_processes = lambda _, jobs, workers: in_processes(slow_job, jobs, workers)
    write(Path(source), Path(output), workers=workers)


@pytest.mark.parametrize(("workers", "seed", "wanted"), [(0, 1, 5), (0, 2, 5), (2, 3, 3)])
def test_killed_at_random_moments_it_ends_with_the_same_bytes(
    source, whole, tmp_path, workers, seed, wanted
):
    output, rng, kills = tmp_path / "out", random.Random(seed), 0
    while True:
        args = str(source), str(output), workers
        running = program.start(slow_write, args, tmp_path / str(kills))
        if kills == wanted:
            break
        # Random shards later, at a random moment of the next one.
        tars = len(list(output.rglob("*.tar"))) + rng.randint(0, 1)
        assert wait_for(lambda: len([*output.rglob("*.tar")]) >= tars and output.exists())  # noqa: B023
        running.process.join(rng.uniform(0, 0.06))
        assert running.process.is_alive(), "it ended before it was killed"
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.join()
        kills += 1
        for file in output.rglob("*.tar"):
            assert file.read_bytes() == whole[str(file.relative_to(output))], "not whole"
    ended = program.finish(running)
    assert ended.code == 0, ended.err
    assert contents(output) == whole


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def pids(_: int) -> int:
    time.sleep(0.2)
    return os.getpid()


def test_workers_end_with_a_killed_parent(tmp_path):
    running = program.start(parent_of_workers, (str(tmp_path / "pids"),), tmp_path)
    assert wait_for(lambda: len(read_pids(tmp_path)) == 2)
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.join()
    assert wait_for(lambda: not any(map(lives, read_pids(tmp_path))), 10)


def parent_of_workers(folder: str) -> None:
    Path(folder).mkdir()
    for pid in in_processes(pids, range(1000), 2):
        (Path(folder) / str(pid)).touch()


def read_pids(tmp_path):
    with contextlib.suppress(OSError):
        return [int(file.name) for file in (tmp_path / "pids").iterdir()]
    return []


def lives(pid):
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        return True
    return False


def enlarge(side: int) -> int:
    return cv2.resize(np.zeros((side, side, 3), np.uint8), (2000, 2000)).size


def enlarge_here_and_in_workers() -> None:
    cv2.setNumThreads(2)
    enlarge(1000)
    assert list(in_processes(enlarge, [1000] * 4, 2)) == [12_000_000] * 4
    assert cv2.getNumThreads() == 2


def test_workers_do_not_wait_for_threads_of_their_parent(tmp_path):
    ended = program.finish(program.start(enlarge_here_and_in_workers, (), tmp_path), 60)
    assert ended.code == 0, ended.err


def kill_oneself(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_named():
    with pytest.raises(InputError, match="killed, perhaps for want of memory"):
        list(in_processes(kill_oneself, [1], 1))
    with pytest.raises(InputError, match="workers is -1"):
        list(in_processes(kill_oneself, [1], -1))
