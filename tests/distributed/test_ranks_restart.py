"""torchrun restarts two ranks of which one was killed, and they end as if undisturbed."""

import contextlib
import os
import signal
import subprocess
import sys

import program
import seen
from test_ranks_resume import AGAIN, TWO, assert_same_end, whole  # noqa: F401 (a fixture)


def test_torchrun_restarts_from_the_last_checkpoint(whole, corpus, tmp_path):  # noqa: F811
    overlays = [seen.overlay(tmp_path, seen.kill("on_train_batch_end", 5, rank=1))]
    args = [*program.arguments("fit", corpus, tmp_path, overlays=overlays), *TWO, *AGAIN]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    torchrun += ["--nproc-per-node", "2", "--max-restarts", "1", "--monitor-interval", "0.2"]
    tests = str(program.REPO / "tests")
    place = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], tests]),
        # Else ranks that start again may meet the dead ones' addresses in torchrun's store.
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    with (tmp_path / "out.txt").open("w") as out:
        running = subprocess.Popen(
            [*torchrun, "-m", "softmask", *args],
            stdout=out,
            stderr=out,
            env=place,
            start_new_session=True,
        )
        try:
            code = running.wait(timeout=200)
        finally:  # its ranks have sessions of their own, but end with the agent's connections
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
    said = (tmp_path / "out.txt").read_text()
    assert code == 0, said[-3000:]
    for rank in range(2):
        lines = seen.read(tmp_path, rank)
        again = seen.steps(lines).index(4, 5)
        assert seen.steps(lines)[again:] == [4, 5, 6, 7]
        assert lines[again:] == seen.read(whole, rank)[4:]
    assert_same_end(tmp_path, whole)
