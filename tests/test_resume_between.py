"""Runs that are left between micro-batches, or where a validation in mid-epoch is due."""

import contextlib
import signal
import time

import lightning.pytorch as L
import pytest
import seen
import torch
import training
from lightning.pytorch.callbacks import Callback
from test_resume import assert_equal

from data_modules import PretrainData
from softmask.callbacks import LastCheckpoint, Performance, Preemption
from softmask.errors import InputError

TERM = int(signal.SIGTERM)
HALVES = {"val_check_interval": 2}
PARTS = {"accumulate_grad_batches": 4, "epochs": 2}
# Where a run that validates each second batch of six is told to go, after how many steps, the step
# it goes on with, and the validations until then.
LEFT = {
    "before one": ("on_train_batch_start", 1, 2, []),
    "between two": ("on_train_batch_start", 2, 3, [2]),
    "in one": ("on_validation_start", 4, 4, [2]),
    "behind one": ("on_validation_end", 4, 5, [2, 4]),
}
# How often such a run saves, where it dies, the step it goes on with, and what it then validates.
DIES = {
    "in one": (2, ("on_validation_start", 4), 2, [4, 6]),
    "behind one": (2, ("on_train_batch_start", 4), 4, [6]),
    "between two": (3, ("on_train_batch_start", 5), 3, [4, 6]),
}


class Dies(Callback):
    """Breaks a run off at a hook, after some steps, or at a batch of that step."""

    def __init__(self, hook, steps, at=None):
        self.steps, self.at = steps, at
        setattr(self, hook, self.die)

    def die(self, trainer, _task, _given=None, batch=None):
        if trainer.global_step == self.steps and self.at in (None, batch):
            raise InputError("The lights went out.")


class Validated(Callback):
    """The steps behind which a validation came to its end."""

    def __init__(self):
        self.at = []

    def on_validation_end(self, trainer, *_):
        self.at.append(trainer.global_step)


class Small(L.LightningModule):
    """A task of quick steps, each of which tells in the weights."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(3, 1)

    def training_step(self, given):
        return self.layer(given["image"].float().mean(dim=(2, 3)) / 255).square().mean()

    def validation_step(self, given):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture(autouse=True)
def handler():
    """Whatever a run leaves, SIGTERM ends the tests."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def fit(task, corpus, folder, *callbacks, every=0, epochs=1, again=False, val="val", **options):
    """Epochs of six batches, to their end or not; gives the last figures."""
    looks = [*callbacks, LastCheckpoint(every), Preemption()]
    options |= {"max_steps": -1, "max_epochs": epochs, "default_root_dir": folder}
    options |= {"num_sanity_val_steps": 0, "enable_checkpointing": True, "callbacks": looks}
    made = training.trainer(**options)
    paths = str(corpus / "train"), val and str(corpus / val)
    data = PretrainData(*paths, image_size=training.SIZE, batch_size=2, workers=0)
    with contextlib.suppress(SystemExit, InputError):
        made.fit(task, datamodule=data, ckpt_path=last(folder) if again else None)
    return made.callback_metrics


def last(folder):
    return folder / "checkpoints" / "last.ckpt"


def step(folder):
    return torch.load(last(folder), weights_only=True)["global_step"]


@pytest.mark.parametrize("place", LEFT)
def test_a_validation_that_is_due_is_taken_once(place, corpus, tmp_path):
    hook, steps, kept, before = LEFT[place]
    looks = Validated(), Validated()
    fit(Small(), corpus, tmp_path, looks[0], seen.Strike(hook, steps, TERM), **HALVES)
    assert (step(tmp_path), looks[0].at) == (kept, before)
    fit(Small(), corpus, tmp_path, looks[1], again=True, **HALVES)
    assert before + looks[1].at == [2, 4, 6]


@pytest.mark.parametrize("place", DIES)
def test_a_run_that_dies_validates_all_that_its_last_state_lacks(place, corpus, tmp_path):
    every, dies, kept, lacks = DIES[place]
    fit(Small(), corpus, tmp_path, Dies(*dies), every=every, **HALVES)
    assert step(tmp_path) == kept
    look = Validated()
    fit(Small(), corpus, tmp_path, look, again=True, every=every, **HALVES)
    assert look.at == lacks


def test_with_nothing_to_validate_it_is_saved_a_step_later(corpus, tmp_path):
    dies = Dies("on_train_batch_start", 3)
    fit(Small(), corpus, tmp_path, dies, every=2, val=None, **HALVES)
    assert step(tmp_path) == 3


@pytest.fixture(scope="module")
def parts(corpus, tmp_path_factory):
    """The end of a run of four steps, of four and two micro-batches in turn."""
    task = Small()
    fit(task, corpus, tmp_path_factory.mktemp("parts"), val=None, **PARTS)
    return task.state_dict()


@pytest.mark.parametrize("way", ["told", "struck"])
def test_steps_of_micro_batches_are_resumed_whole(way, parts, corpus, tmp_path):
    if way == "told":
        strike = seen.Strike("on_train_batch_start", 0, TERM)
        fit(Small(), corpus, tmp_path, strike, val=None, **PARTS)
    else:  # the second time before it took a step
        for again, at in ((False, None), (True, 5)):
            dies = Dies("on_train_batch_start", 1, at)
            fit(Small(), corpus, tmp_path, dies, every=1, again=again, val=None, **PARTS)
    assert step(tmp_path) == 1
    task = Small()
    fit(task, corpus, tmp_path, again=True, val=None, **PARTS)
    assert step(tmp_path) == 4
    assert_equal(task.state_dict(), parts)


def test_a_validation_between_micro_batches_is_finished(corpus, tmp_path):
    done, strike = Validated(), seen.Strike("on_validation_start", 0, TERM)
    fit(Small(), corpus, tmp_path, done, strike, every=1, **HALVES, **PARTS)
    assert (step(tmp_path), done.at) == (1, [0])  # behind the step is another one, which is left
    fit(Small(), corpus, tmp_path, done, again=True, **HALVES, **PARTS)
    assert done.at == [0, 1, 2, 2, 3, 4]


def test_figures_of_speed_begin_with_the_resumption(corpus, tmp_path):
    fit(Small(), corpus, tmp_path, seen.Strike("on_train_batch_start", 2, TERM))
    assert step(tmp_path) == 3
    begun = time.perf_counter()
    figures = fit(Small(), corpus, tmp_path, Performance(every=3), again=True)
    assert 0 < 3 * figures["perf/seconds_per_step"] < time.perf_counter() - begun
    assert 0 <= figures["perf/data_wait"] < 1
