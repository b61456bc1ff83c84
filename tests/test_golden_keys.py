"""Every name of the official full-size models: renamed, filled, nothing left over. No values."""

from collections.abc import Callable
from typing import NamedTuple

import official
import pytest
import torch
from torch import nn

from softmask.backbone import Backbone
from softmask.nn import FusionEncoder, ImageEncoder, TextEncoder
from softmask.renames import from_albef
from softmask.tasks import Contrast, PretrainTask
from softmask.weights import fill


class Official(NamedTuple):
    """One of the official models."""

    task: Callable[[Backbone], nn.Module]
    pixels: int
    unheld: set[str]  # names of ours that its file does not hold


# A task that comes with its renames adds its line here.
MODELS = {
    "pretrain": Official(PretrainTask, 256, {"queue.image_id", "queue.text_id"}),
}


def full_size(pixels: int) -> Backbone:
    """The paper's backbone, as conf/backbone/base.yaml has it."""
    return Backbone(ImageEncoder(image_size=pixels), TextEncoder(), FusionEncoder())


@pytest.mark.parametrize("name", MODELS)
def test_golden_names_fill_the_full_size_task(name):
    given = official.full_size(name)
    with torch.device("meta"):
        state = {
            key: torch.empty(shape, dtype=getattr(torch, kind))
            for key, (kind, shape) in given.items()
        }
        task = MODELS[name].task(full_size(MODELS[name].pixels))
        renamed = from_albef(state, 6)
    report = fill(task, renamed, name)
    assert set(report.missing) == MODELS[name].unheld
    assert report.unexpected == report.misshapen == report.resampled == []
    # Shapes and types alike: what is filled is what was given.
    own = task.state_dict()
    for key in report.matched:
        assert own[key].dtype == renamed[key].dtype, key
    assert len(report.matched) == len(own) - len(MODELS[name].unheld)


def test_golden_names_with_one_lost_or_strange_are_noticed():
    given = official.albef("pretrain", vocabulary=99)
    del given["text_encoder_m.bert.encoder.layer.7.output.dense.bias"]
    given["visual_encoder.strange"] = torch.zeros(1)
    with torch.device("meta"):
        text = TextEncoder(6, 16, 2, 64, 99, 32)
        image = ImageEncoder(official.VIT, 64, patch_size=16, width=16, depth=12, heads=2)
        backbone = Backbone(image, text, FusionEncoder(16, 6, 2, 64), official.EMBED)
        task = PretrainTask(backbone, contrast=Contrast(queue_size=official.QUEUE))
    meta = {key: value.to("meta") for key, value in given.items()}
    report = fill(task, from_albef(meta, 6), "damaged")
    twin = "momentum.twin.backbone.fusion.layers.1.feed.down.bias"
    assert set(report.missing) == {twin, "queue.image_id", "queue.text_id"}
    assert report.unexpected == ["backbone.image.vit.strange"]
