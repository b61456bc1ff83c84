"""Parity with the official NLVR2 code, at tiny size with random weights, and its key names."""

import golden_albef as golden
import pytest
import torch

from softmask.batch import TwoImageBatch
from softmask.renames import from_albef, untied
from softmask.tasks import Distillation, EntailmentTask, Nlvr2PretrainTask, Nlvr2Task
from softmask.weights import fill, load_weights

FUSION = "backbone.fusion.layers"


@pytest.fixture(scope="module")
def values():
    return golden.tensors("albef_nlvr2")


@pytest.fixture
def task(values):
    parts = golden.backbone(golden.manifest())
    task = Nlvr2Task(parts, distillation=Distillation(alpha=0.4, momentum=0.995))  # fixed there
    golden.load_whole(task, values["model"])
    return golden.alone(task)


@pytest.fixture
def batch(values):
    given = values["in"]
    return TwoImageBatch(
        image=given["image0"],
        second_image=given["image1"],
        sentence_id=torch.arange(len(given["label"])),
        **golden.labelled(given),
    )


def test_golden_logits(task, batch, values):
    logits, label = task.judge(batch)
    golden.assert_close(logits, values["out"]["logits"], "logits")
    assert label.equal(values["in"]["label"])
    swapped = {**batch, "image": batch["second_image"], "second_image": batch["image"]}
    assert golden.relative_error(task.judge(swapped)[0].detach(), values["out"]["logits"]) > 1e-3


def test_golden_loss(task, batch, values):
    loss = task.training_step(batch, 0)
    golden.assert_close(loss, values["out"]["loss"], "loss")


def test_golden_keys_and_values_are_tied_in_the_file(values):
    renamed = from_albef(values["model"], golden.manifest()["bert"]["fusion_layer"])
    assert untied(renamed) == []
    renamed[f"{FUSION}.1.image.kv.bias"] = renamed[f"{FUSION}.1.image.kv.bias"] + 1
    assert untied(renamed) == [f"{FUSION}.1.image.kv.bias"]


def test_golden_full_size_keys_map_completely():
    golden.assert_maps_whole(Nlvr2Task, "nlvr2", image_size=384)


def test_golden_text_assignment_fills_its_task(values):
    """The file of the pretraining has no twins, but projections, temperature and `ta_head`."""
    sizes = golden.manifest()
    width, embed = sizes["bert"]["hidden_size"], sizes["albef"]["embed_dim"]
    parts = ("_m.", "cls_head.")
    official = {k: v for k, v in values["model"].items() if not any(p in k for p in parts)}
    for name, rows in (("vision_proj", embed), ("text_proj", embed), ("ta_head", 3)):
        official |= {f"{name}.weight": torch.rand(rows, width), f"{name}.bias": torch.rand(rows)}
    official["temp"] = torch.tensor(0.05)
    task = Nlvr2PretrainTask(golden.backbone(sizes))
    report = fill(task, from_albef(official, sizes["bert"]["fusion_layer"]), "golden")
    assert (report.missing, report.unexpected, report.misshapen) == ([], [], [])
    assert task.assigner.weight.equal(official["ta_head.weight"])


@pytest.mark.parametrize("kind", [Nlvr2Task, EntailmentTask])
def test_golden_pretraining_fills_all_but_the_head(kind, tmp_path):
    official = golden.tensors("albef_pretrain")["model"]
    torch.save({"model": official}, tmp_path / "pretrained.pth")
    task = kind(golden.backbone(golden.manifest()))
    report = load_weights(task, tmp_path / "pretrained.pth", task.adapt)
    assert set(report.missing) == {
        f"head.{n}.{kind}" for n in (0, 2) for kind in ("weight", "bias")
    }
    assert {name.partition(".")[0] for name in report.unexpected} == {"matcher", "words"}
    assert report.misshapen == []
