"""A run that is killed, and goes on from its last checkpoint, is the run that never stopped."""

import signal

import program
import pytest
import seen
import torch
from test_resume import assert_equal

from softmask.callbacks.last import save_last

AGAIN = ("--ckpt_path", "last")
# Where the run is struck, after how many steps, and the step it goes on with.
PLACES = {
    "after a step": (0, "on_train_batch_end", 5, 4),
    "in the backward pass": (1, "on_after_backward", 4, 4),
    "at a validation": (4, "on_validation_batch_end", 6, 4),
    "while it saves": (0, "on_save_checkpoint", 4, 3),
}


def run(corpus, folder, *strikes, workers=0, flags=(), environment=None):
    overlays = [seen.overlay(folder, *strikes)]
    args = program.arguments("fit", corpus, folder, overlays=overlays)
    args += ["--data.init_args.workers", str(workers), *flags]
    running = program.start(program.main, (args,), folder, environment)
    return program.finish(running, timeout=100)


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    ended = run(corpus, folder)
    assert ended.code == 0, ended.err
    return folder


@pytest.mark.parametrize("place", PLACES)
def test_killed_run_goes_on_as_if_nothing_had_been(place, whole, corpus, tmp_path):
    workers, hook, struck, kept = PLACES[place]
    ended = run(corpus, tmp_path, seen.kill(hook, struck), workers=workers, flags=AGAIN)
    assert ended.code == -signal.SIGKILL, ended.err
    before = seen.read(tmp_path)
    ended = run(corpus, tmp_path, workers=workers, flags=AGAIN)
    assert ended.code == 0, ended.err
    after = seen.read(tmp_path)[len(before) :]
    assert seen.steps(after) == list(range(kept, seen.STEPS))
    expected = seen.read(whole)
    assert before == expected[: len(before)]
    assert after == expected[kept:]
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        assert_equal(seen.last(tmp_path)[part], seen.last(whole)[part], part)
    validated = [program.scalars(one / "run")["val/recall"] for one in (tmp_path, whole)]
    assert validated[0][5] == validated[1][5]


def test_what_is_seen_differs_from_step_to_step(whole):
    """Or equal lines would prove nothing."""
    lines = seen.read(whole)
    assert seen.steps(lines) == list(range(seen.STEPS))
    assert len({line["loss"] for line in lines}) == seen.STEPS
    first, second = (
        {key: digest for line in lines[start : start + 3] for key, digest in line["samples"]}
        for start in (0, 3)
    )
    assert first.keys() == second.keys()
    assert not set(first.values()) & set(second.values())  # drawn anew in each epoch


def test_a_save_that_is_cut_leaves_the_state_before_it(tmp_path):
    """Lightning's own way over /tmp copies in place when the run is on another disk."""

    class Cut:
        log_dir = default_root_dir = str(tmp_path)
        is_global_zero = True

        def save_checkpoint(self, path):
            path.write_bytes(b"half")
            raise KeyboardInterrupt

    kept = tmp_path / "checkpoints" / "last.ckpt"
    kept.parent.mkdir()
    torch.save({"whole": True}, kept)
    with pytest.raises(KeyboardInterrupt):
        save_last(Cut())
    assert torch.load(kept, weights_only=True) == {"whole": True}
