"""Starting weights: for training and for evaluation alike, once, without another run's queue."""

import warnings

import pytest
import torch
import training


def other(tmp_path):
    """A task unlike a fresh one, and its file."""
    task = training.task()
    torch.manual_seed(9)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.add_(torch.randn_like(parameter))
    task.queue.push(torch.ones(4, 8), torch.ones(4, 8), torch.arange(4), torch.arange(4))
    path = tmp_path / "other.ckpt"
    torch.save({"state_dict": task.state_dict()}, path)
    return task, str(path)


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_init_from_counts_in_every_stage(tmp_path, stage):
    given, path = other(tmp_path)
    task = training.alone(training.task(init_from=path))
    task.setup(stage)
    assert torch.equal(task.matcher.weight, given.matcher.weight)
    twin, own = task.momentum.twin["backbone"], task.backbone
    for a, b in zip(twin.parameters(), own.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_test_after_the_fit_scores_what_was_trained(tmp_path):
    _, path = other(tmp_path)
    task = training.alone(training.task(init_from=path))
    task.setup("fit")
    with torch.no_grad():
        task.matcher.weight.fill_(3.0)
    task.setup("test")
    assert task.matcher.weight.eq(3.0).all()


def test_another_runs_queue_stays_behind(tmp_path):
    _, path = other(tmp_path)
    task = training.alone(training.task(init_from=path))
    task.setup("fit")
    assert task.queue.image_id.eq(-100).all()
    assert task.queue.pointer.item() == 0


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_random_weights_are_not_scored_in_silence(stage):
    task = training.alone(training.task())
    with pytest.warns(UserWarning, match=f"to {stage} weights that were drawn at random"):
        task.setup(stage)


def test_fresh_weights_are_nothing_to_warn_of_in_training():
    task = training.alone(training.task())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task.setup("fit")


def test_large_seeds_work(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", str(2**32 - 1))
    task = training.task()
    training.trainer(max_steps=1).fit(task, training.Given([training.batch()]))
    assert len(task.steps) == 1
