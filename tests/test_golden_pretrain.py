"""Parity with the official ALBEF code, at tiny size with random weights, and its key names."""

import golden_albef as golden
import pytest
import torch

from softmask.batch import PretrainBatch
from softmask.renames import from_albef
from softmask.saliency import grad_cam
from softmask.tasks import Negatives, PretrainTask
from softmask.weights import fill


class Given(PretrainTask):
    """The task with the official code's draw of negatives."""

    negatives: Negatives

    def draw_negatives(self, i2t, t2i, same):
        assert i2t.shape == t2i.shape == same.shape
        assert same.diagonal().all()
        return self.negatives


@pytest.fixture(scope="module")
def values():
    return golden.tensors("albef_pretrain")


@pytest.fixture
def task(values, monkeypatch):
    sizes = golden.manifest()
    task = golden.pretrain_task(sizes)
    task.__class__ = Given
    task.negatives = Negatives(
        text=values["in"]["negative_text_index"], image=values["in"]["negative_image_index"]
    )
    report = fill(task, from_albef(values["model"], sizes["bert"]["fusion_layer"]), "golden")
    unheld = {"queue.image_id", "queue.text_id"}  # the official pretraining has no id queue
    assert set(report.missing) == unheld
    assert not report.unexpected
    assert not report.misshapen
    monkeypatch.setattr(PretrainTask, "gather", lambda self, rows: rows.detach())
    for name in ("log", "log_dict"):
        monkeypatch.setattr(PretrainTask, name, lambda self, *a, **k: None)
    monkeypatch.setattr(PretrainTask, "global_rank", 0)
    monkeypatch.setattr(PretrainTask, "global_step", 0)

    class One:
        world_size = 1

    monkeypatch.setattr(PretrainTask, "trainer", One())
    return task


@pytest.fixture
def batch(values) -> PretrainBatch:
    given = values["in"]
    at, labels = golden.masked_positions(given["mlm_labels"])
    rows = torch.arange(len(given["image"]))
    return PretrainBatch(
        image=given["image"],
        input_ids=given["input_ids"],
        attention_mask=given["attention_mask"].bool(),
        mlm_ids=given["masked_input_ids"],
        mlm_at=at,
        mlm_labels=labels,
        words=torch.ones(len(rows), 1, dtype=torch.long),
        image_id=rows,
        text_id=rows,
        position=rows,
        key=[str(i) for i in rows.tolist()],
        caption=[""] * len(rows),
    )


def test_golden_features(task, batch, values):
    seen = task.see(task.backbone, batch["image"], batch["input_ids"], batch["attention_mask"])
    out = values["out"]
    golden.assert_close(seen.tokens, out["image_embeds"], "image_embeds")
    golden.assert_close(seen.image, out["image_feat"], "image_feat")
    golden.assert_close(seen.text, out["text_feat"], "text_feat")
    golden.assert_close(seen.states, out["text_embeds"], "text_embeds")


def test_golden_fusion_states_and_logits(task, batch, values):
    seen = task.see(task.backbone, batch["image"], batch["input_ids"], batch["attention_mask"])
    keys = task.backbone.project(seen.tokens)
    fused = task.backbone.fuse(seen.states, batch["attention_mask"], keys)
    golden.assert_close(fused, values["out"]["fusion_hidden"], "fusion_hidden")
    golden.assert_close(task.matcher(fused[:, 0]), values["out"]["itm_logits"], "itm_logits")
    words = task.backbone.text(batch["mlm_ids"], batch["attention_mask"])
    fused = task.backbone.fuse(words, batch["attention_mask"], keys)
    logits = task.words(fused, task.backbone.text.table)
    golden.assert_close(logits, values["out"]["mlm_logits"], "mlm_logits")


def test_golden_map_gradient_and_cam(task, batch, values):
    seen = task.see(task.backbone, batch["image"], batch["input_ids"], batch["attention_mask"])
    keys = task.backbone.project(seen.tokens)
    mask, layer = batch["attention_mask"], task.soft_mask.layer
    early = task.backbone.fusion(seen.states, mask, keys, stop=layer)
    maps = task.word_maps(early, mask, keys)
    out = values["out"]
    golden.assert_close(maps.attention, out["cross_attention_block8"], "map")
    golden.assert_close(maps.gradient, out["cross_attention_grad_block8"], "gradient")
    golden.assert_close(maps.cam, out["gradcam_block8"], "cam")
    golden.assert_close(
        grad_cam(out["cross_attention_block8"], out["cross_attention_grad_block8"]),
        out["gradcam_block8"],
        "grad_cam",
    )
    assert all(p.grad is None for p in task.parameters())


def test_golden_step(task, batch, values):
    losses = {}
    task.total = lambda named, keys: losses.update(named) or sum(named.values())
    task.training_step(batch, 0).backward()
    for name in ("itc", "itm", "mlm"):
        golden.assert_close(losses[name], values["out"][f"loss_{name}"], f"loss_{name}")
    layers = golden.manifest()["bert"]["fusion_layer"]
    state = task.state_dict()
    after = from_albef(golden.known_only(values["model"], values["after"]), layers)
    grads = from_albef(golden.known_only(values["model"], values["grad"]), layers)
    ours = {name: p.grad for name, p in task.named_parameters() if p.grad is not None}
    compared = {"after": 0, "grad": 0}
    for kind, expected, got in (("after", after, state), ("grad", grads, ours)):
        for name, value in expected.items():
            known = value.isfinite() if value.is_floating_point() else torch.ones_like(value) > 0
            if known.any() and name in got and (kind == "grad" or _changed(name)):
                golden.assert_close(got[name][known], value[known], f"{kind} {name}")
                compared[kind] += 1
    assert compared == {"after": len(values["after"]), "grad": len(values["grad"])}


def _changed(name: str) -> bool:
    return name.startswith(("queue.", "momentum."))


def _base_task() -> PretrainTask:
    from softmask.backbone import Backbone
    from softmask.nn import FusionEncoder, ImageEncoder, TextEncoder

    return PretrainTask(Backbone(ImageEncoder(), TextEncoder(), FusionEncoder()))


def test_base_pretraining_has_the_papers_parameters():
    with torch.device("meta"):
        task = _base_task()
    trainable = sum(p.numel() for p in task.parameters() if p.requires_grad)
    assert round(trainable / 1e6, 2) == 209.94
