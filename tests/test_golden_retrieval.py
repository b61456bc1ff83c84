"""Parity with the official ALBEF fine-tuning for retrieval, and its key names."""

import json

import golden_albef as golden
import pytest
import torch

from softmask.backbone import Backbone
from softmask.batch import PairBatch
from softmask.nn import FusionEncoder, ImageEncoder, TextEncoder
from softmask.renames import from_albef
from softmask.tasks import Contrast, Negatives, RetrievalTask
from softmask.weights import fill


class Given(RetrievalTask):
    """The task with the official code's draw of negatives."""

    negatives: Negatives

    def draw_negatives(self, i2t, t2i, same):
        assert i2t.shape == t2i.shape == same.shape
        assert torch.equal(same, self.same)
        return self.negatives


@pytest.fixture(scope="module")
def values():
    return golden.tensors("albef_retrieval")


@pytest.fixture
def task(values, monkeypatch):
    sizes = golden.manifest()
    albef = sizes["albef"]
    contrast = Contrast(
        gamma=0.0,
        alpha=0.4,
        queue_size=albef["queue_size"],
        momentum=albef["momentum"],
        match_captions=False,
    )
    task = RetrievalTask(golden.backbone(sizes), contrast=contrast).eval()
    task.__class__ = Given
    given = values["in"]
    task.same = given["image_id"][:, None] == given["image_id"]
    task.negatives = Negatives(
        text=given["negative_text_index"], image=given["negative_image_index"]
    )
    report = fill(task, from_albef(values["model"], sizes["bert"]["fusion_layer"]), "golden")
    assert (report.missing, report.unexpected, report.misshapen) == ([], [], [])
    monkeypatch.setattr(RetrievalTask, "gather", lambda self, rows: rows.detach())
    for name in ("log", "log_dict"):
        monkeypatch.setattr(RetrievalTask, name, lambda self, *a, **k: None)
    monkeypatch.setattr(RetrievalTask, "global_rank", 0)
    monkeypatch.setattr(RetrievalTask, "global_step", 0)
    return task


@pytest.fixture
def batch(values) -> PairBatch:
    given = values["in"]
    rows = torch.arange(len(given["image"]))
    return PairBatch(
        image=given["image"],
        input_ids=given["input_ids"],
        attention_mask=given["attention_mask"].bool(),
        image_id=given["image_id"],
        text_id=torch.zeros_like(rows),  # one caption for all: fine-tuning must not look at it
        position=rows,
        key=[str(i) for i in rows.tolist()],
        caption=[""] * len(rows),
    )


def step(task, batch):
    losses = {}
    task.total = lambda named, keys: losses.update(named) or sum(named.values())
    task.training_step(batch, 0).backward()
    return losses


def test_golden_step(task, batch, values):
    losses = step(task, batch)
    for name in ("itc", "itm"):
        golden.assert_close(losses[name], values["out"][f"loss_{name}"], f"loss_{name}")
    assert len(set(batch["image_id"].tolist())) < len(batch["image_id"])  # several texts an image
    if "after" in values:
        layers = golden.manifest()["bert"]["fusion_layer"]
        after = from_albef(golden.known_only(values["model"], values["after"]), layers)
        found = task.state_dict()
        for name in ("queue.image_id", "queue.text_id"):
            assert torch.equal(found[name], after[name]), name


def test_golden_differs_where_own_pairs_alone_are_positives(task, batch, values):
    """Else the values could not tell ALBEF's fine-tuning from its pretraining."""
    object.__setattr__(task.contrast, "match_ids", False)
    loss = step(task, batch)["itc"]
    assert golden.relative_error(loss.detach(), values["out"]["loss_itc"]) > 1e-3


def test_golden_temperature_is_not_clamped(task, batch):
    with torch.no_grad():
        task.backbone.temperature.fill_(0.9)
    step(task, batch)
    assert task.backbone.temperature.item() == pytest.approx(0.9)


def test_golden_full_size_keys_map_completely():
    keys = json.loads((golden.FOLDER / "albef_state_dict_keys.json").read_text())["retrieval"]
    state = {
        name: torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
        for name, (dtype, shape) in keys.items()
    }
    with torch.device("meta"):
        image = ImageEncoder(image_size=384)  # what retrieval is fine-tuned and released at
        task = RetrievalTask(Backbone(image, TextEncoder(), FusionEncoder()))
    renamed = from_albef(state, task.backbone.text.layers)
    own = {name: tuple(value.shape) for name, value in task.state_dict().items()}
    assert own == {name: tuple(value.shape) for name, value in renamed.items()}
    # Nothing of theirs is dropped either; their twins share the temperature, ours have their own.
    theirs, ours = (
        sum(value.numel() for value in tensors.values() if value.is_floating_point())
        for tensors in (state, renamed)
    )
    assert theirs + 1 == ours
