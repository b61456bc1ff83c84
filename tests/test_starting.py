"""Starting weights: for training and for evaluation alike, once, without another run's queue."""

import warnings
from types import SimpleNamespace

import asking
import pytest
import tiny
import torch
import training
from transformers import BertConfig, BertForMaskedLM

from softmask.errors import InputError
from softmask.tasks.starting import refuse_unreadable
from softmask.weights import load_weights


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


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A folder with a BERT of the tasks' size."""
    folder = tmp_path_factory.mktemp("bert")
    sizes = {"hidden_size": 16, "intermediate_size": 64, "max_position_embeddings": 32}
    config = BertConfig(num_hidden_layers=4, num_attention_heads=2, **sizes)
    BertForMaskedLM(config).save_pretrained(folder)
    return str(folder)


def texts(task):
    """Copies of the weights that a BERT fills, twins first."""
    parts = (task.teacher.text, task.backbone.text, task.words)
    return [p.detach().clone() for part in parts for p in part.parameters()]


def same(found, expected):
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_second_fit_goes_on_from_what_was_trained_and_not_from_bert(bert):
    task = training.alone(training.task(bert=bert))
    fresh = texts(task)
    task.setup("fit")
    assert not same(texts(task), fresh)
    tiny.shake(task)
    trained = texts(task)
    task.setup("fit")
    assert same(texts(task), trained)


def test_a_fit_after_a_validation_trains_what_was_validated_and_not_bert(bert, tmp_path):
    given, path = other(tmp_path)
    task = training.alone(training.task(bert=bert, init_from=path))
    task.setup("validate")
    task.setup("fit")
    assert same(task.backbone.text.parameters(), given.backbone.text.parameters())


def test_a_fit_after_a_validation_of_random_weights_starts_from_bert(bert):
    task, validated = (training.alone(training.task(bert=bert)) for _ in range(2))
    task.setup("fit")
    with pytest.warns(UserWarning, match="drawn at random"):
        validated.setup("validate")
    validated.setup("fit")
    assert same(texts(validated), texts(task))


def test_init_from_is_loaded_over_bert(bert, tmp_path):
    given, path = other(tmp_path)
    task = training.alone(training.task(bert=bert, init_from=path))
    task.setup("fit")
    assert same(task.backbone.text.parameters(), given.backbone.text.parameters())


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


class Drawing(training.Recorded):
    """Keeps what each step draws, and learns next to nothing."""

    def compute_loss(self, _):
        self.steps.append(torch.rand(()).item())
        return self.matcher.bias.sum()


def test_draws_depend_on_seed_step_and_rank_alone(monkeypatch):
    def drawn(seed, rank):
        monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
        monkeypatch.setattr(Drawing, "global_rank", rank)
        task = training.task()
        task.__class__ = Drawing
        torch.seed()  # what was drawn before must not count
        training.trainer(max_steps=2).fit(task, training.Given([training.batch()] * 2))
        return task.steps

    found = [drawn(seed, rank) for seed in (0, 1) for rank in (0, 1)]
    assert len({number for steps in found for number in steps}) == 8
    assert drawn(1, 1) == found[-1]


class Moved(training.Recorded):
    """Reads its matcher from where another task kept it, and notes what it was shown."""

    def adapt(self, state):
        self.shown = [*getattr(self, "shown", []), *state]
        return {k.replace("other.", "matcher."): v for k, v in state.items()}


def test_a_task_adapts_the_weights_it_starts_from_and_its_twins_equal_them(tmp_path):
    given, path = other(tmp_path)
    state = {k.replace("matcher.", "other."): v for k, v in given.state_dict().items()}
    torch.save({"state_dict": state}, path)
    task = training.alone(training.task(init_from=path))
    task.__class__ = Moved
    report = load_weights(task, path, task.adapt)
    assert torch.equal(task.matcher.weight, given.matcher.weight)
    assert report.missing == report.unexpected == report.misshapen == []
    shown = [k for k in state if not k.startswith(("queue.", "momentum."))]
    assert task.shown == shown
    task.setup("fit")  # goes the same way
    assert task.shown == 2 * shown
    assert torch.equal(task.momentum.twin["words"].dense.weight, given.words.dense.weight)


def test_a_part_of_the_backbone_that_gets_nothing_is_said_aloud(tmp_path):
    given, path = other(tmp_path)
    left = {k: v for k, v in given.state_dict().items() if "fusion" not in k and "words." not in k}
    torch.save({"state_dict": left}, path)
    task = training.alone(training.task(init_from=path))
    with pytest.warns(UserWarning, match=r"filled nothing of backbone\.fusion: this stays"):
        task.setup("fit")
    assert torch.equal(task.matcher.weight, given.matcher.weight)


def test_heads_may_be_new_and_one_tensor_fills_a_part(tmp_path):
    given, path = other(tmp_path)
    state = {k: v for k, v in given.state_dict().items() if not k.startswith("matcher.")}
    for name in [n for n in state if n.startswith("backbone.fusion.layers.1.")]:
        del state[name]
    torch.save({"state_dict": state}, path)
    task = training.alone(training.task(init_from=path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task.setup("fit")


def test_questions_that_are_longer_than_positions_in_evaluation_are_refused_before_training():
    encoder = training.backbone().text
    refuse_unreadable(encoder, asking.data(eval_tokens=32))
    refuse_unreadable(encoder, training.Given([training.batch()]))
    for column in ("caption", None):  # data of one's own
        refuse_unreadable(encoder, SimpleNamespace(text=column))
    with pytest.raises(InputError, match=r"eval_tokens is 33, .*max_positions is 32: give 32"):
        refuse_unreadable(encoder, asking.data(eval_tokens=33))
