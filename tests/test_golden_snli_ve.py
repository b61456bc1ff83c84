"""Parity with the official SNLI-VE code, at tiny size with random weights, and its key names."""

import golden_albef as golden
import pytest

from softmask.batch import LabelledBatch
from softmask.tasks import Distillation, EntailmentTask


@pytest.fixture(scope="module")
def values():
    return golden.tensors("albef_snli_ve")


@pytest.fixture
def task(values):
    parts = golden.backbone(golden.manifest())
    task = EntailmentTask(
        parts, distillation=Distillation(alpha=0.4, momentum=0.995)
    )  # fixed there
    golden.load_whole(task, values["model"])
    return golden.alone(task)


@pytest.fixture
def batch(values):
    return LabelledBatch(image=values["in"]["image"], **golden.labelled(values["in"]))


def test_golden_logits(task, batch, values):
    logits, label = task.judge(batch)
    golden.assert_close(logits, values["out"]["logits"], "logits")
    assert label.equal(values["in"]["label"])


def test_golden_loss(task, batch, values):
    loss = task.training_step(batch, 0)
    golden.assert_close(loss, values["out"]["loss"], "loss")


def test_golden_full_size_keys_map_completely():
    golden.assert_maps_whole(EntailmentTask, "snli_ve", image_size=384)
