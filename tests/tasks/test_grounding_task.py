"""Grounding's steps and its evaluation to the end: maps, report, predictions, overfitting."""

import golden_albef as golden
import pytest
import tiny
import torch
import training
from corpora import write_corpus
from refer import grounded_pairs

from data_modules import GroundingData
from data_modules.image import Distortion
from data_modules.text import TextOptions
from data_modules.write import write_shards
from softmask.errors import InputError
from softmask.grounding import expression_maps, sum_of_scaled
from softmask.occlusion import attention_maps, occlusion_maps
from softmask.optim import Optim
from softmask.renames import from_albef
from softmask.tasks import Contrast, GroundingTask, Negatives, Pointing, RetrievalTask, SoftMasking
from softmask.weights import fill

ALBEF = {"gamma": 0.0, "match_captions": False, "queue_size": 8, "momentum": 0.9}
STILL = Distortion(crop_scale=(1, 1), **training.NONE)


class Recorded(GroundingTask):
    """Keeps what each step's losses were."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.steps = []

    def total(self, losses, keys):
        self.steps.append({name: loss.item() for name, loss in losses.items()})
        return super().total(losses, keys)


class Turns(Recorded):
    """Every other sample is the negative in its turn."""

    def draw_negatives(self, i2t, *_):
        other = (torch.arange(len(i2t)) + 1 + self.global_step % (len(i2t) - 1)) % len(i2t)
        return Negatives(text=other, image=other)


def make(weight=0.0, kind=Recorded, parts=None, **options):
    contrast = Contrast(**{**ALBEF, **options.pop("contrast", {})})
    task = kind(
        training.backbone(**(parts or {})),
        contrast=contrast,
        soft_mask=SoftMasking(weight=weight, layer=1),
        **options,
    )
    tiny.shake(task.matcher, by=1.0)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in task.momentum.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return task.train()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus("grounding", tmp_path_factory.mktemp("grounding"))


def data(corpus, **options):
    folders = {name: str(corpus / name) for name in ("train", "val", "test")}
    given = {"distortion": STILL, "text": TextOptions(masks_per_pair=2), **options}
    return GroundingData(
        **folders,
        predict=folders["test"],
        image_size=training.SIZE,
        batch_size=4,
        workers=0,
        **given,
    )


def batches(corpus, stage="fit"):
    module = data(corpus)
    module.setup(stage)
    return list(module.train_dataloader() if stage == "fit" else module.test_dataloader())


class Plain(Recorded):
    """Takes retrieval's steps."""

    compute_loss = RetrievalTask.compute_loss


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_every_parameter_gets_a_gradient(corpus, weight):
    task = make(weight)
    losses = training.step(task, batches(corpus)[0])
    assert set(losses) == ({"itc", "itm", "soft"} if weight else {"itc", "itm"})
    for name, parameter in task.named_parameters():
        if name.startswith("momentum."):
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_a_step_is_retrievals_but_for_soft_masks(corpus):
    """The same draws: soft masks come after them and change neither loss."""
    given, found = batches(corpus)[0], {}
    for weight in (None, 0.0, 2.0):
        task = make(weight or 0.0)
        if weight is None:
            task.__class__ = type(
                "Plain", (Recorded,), {"compute_loss": RetrievalTask.compute_loss}
            )
        torch.manual_seed(3)
        found[weight] = training.step(task, given)
    assert found[None] == found[0.0]
    assert {k: found[2.0][k] for k in ("itc", "itm")} == found[0.0]


def test_soft_term_is_that_of_pretraining(corpus):
    """The masked term of pretraining, on the pass that it merges with others there."""
    given = batches(corpus)[0]
    task = make(0.5, Turns)
    training.step(task, given)
    pretraining = training.task(contrast=ALBEF, soft_mask={"weight": 0.5})
    fill(pretraining, make(0.5).state_dict(), "grounding")
    seen = pretraining.see(
        pretraining.backbone, given["image"], given["input_ids"], given["attention_mask"]
    )
    other = (torch.arange(4) + 1) % 4
    training.alone(pretraining)
    negatives = Negatives(text=other, image=other)
    fused = pretraining.match_step(seen, negatives, given)
    soft = pretraining.soft_step(seen, fused.early, fused.keys, negatives, given)
    assert task.steps[0]["soft"] == pytest.approx(pretraining.soft_loss(soft).item(), rel=1e-5)
    assert soft.shape == (16, 2)  # two words a pair, negatives too


def test_maps_are_those_of_a_full_backward_pass(corpus):
    """Nothing detached, nothing split: the gradient at the map of the whole network's logit."""
    task, given = make().eval(), batches(corpus, "test")[0]
    backbone, mask = task.backbone, given["attention_mask"]
    tokens, _ = backbone.encode_image(given["image"])
    states, _ = backbone.encode_text(given["input_ids"], mask)
    keys = backbone.project(tokens)
    x = backbone.fusion(states, mask, keys, stop=1)
    x, attention = backbone.fusion.layers[1].forward_with_map(
        x, mask[:, None, None], keys.layers[1]
    )
    attention.retain_grad()
    x = backbone.fusion(x, mask, keys, start=2)
    task.matcher(x[:, 0])[:, 1].sum().backward()
    cam = (attention * attention.grad.clamp_min(0)).mean(dim=1)
    expected = expression_maps(cam.detach(), given["mapped"], backbone.image.grid)
    assert expected.amax() > 1e-6
    torch.testing.assert_close(task.maps(given), expected, rtol=1e-4, atol=1e-9)


def test_golden_maps_of_albef():
    """ALBEF's Grad-CAM, block 8, on its own weights."""
    values, sizes = golden.tensors("albef_pretrain"), golden.manifest()
    layer = 8 - sizes["bert"]["fusion_layer"]
    task = GroundingTask(golden.backbone(sizes), soft_mask=SoftMasking(weight=0.0, layer=layer))
    fill(task, from_albef(values["model"], sizes["bert"]["fusion_layer"]), "golden")
    mask = values["in"]["attention_mask"].bool()
    given = {"image": values["in"]["image"], "input_ids": values["in"]["input_ids"]}
    maps = task.eval().maps({**given, "attention_mask": mask, "mapped": mask})
    cams = values["out"]["gradcam_block8"] * mask[..., None]
    # ALBEF divides by the padded length, ours by the true one.
    expected = cams.mean(dim=1)[:, 1:] * mask.shape[1] / mask.sum(dim=1, keepdim=True)
    golden.assert_close(maps.flatten(1), expected, "maps", 1e-4)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("verb", ["validate", "test"])
def test_evaluation_reports_all_and_each_split(corpus, verb, precision):
    task, fit = make(), training.trainer(precision=precision)
    logged = getattr(fit, verb)(task, datamodule=data(corpus), verbose=False)[0]
    report = task.report
    assert set(report) == {
        *("count", "pointing", "energy", "box_share", "centre", "iou_accuracy", "random_box"),
        *("interval", "splits"),
    }
    assert report["count"] == 6
    assert {name: part["count"] for name, part in report["splits"].items()} == {
        "testA": 4,
        "val": 2,
    }
    assert report["box_share"] == pytest.approx(0.25)
    assert 0 < report["energy"] < 1
    stage = "val" if verb == "validate" else "test"
    assert logged[f"{stage}/grounding"] == pytest.approx(report["iou_accuracy"])
    assert logged[f"{stage}/testA/energy"] == pytest.approx(report["splits"]["testA"]["energy"])
    assert all(p.grad is None for p in task.parameters())


def test_precision_changes_maps_little(corpus):
    reports = {}
    for precision in ("32-true", "bf16-mixed"):
        task = make()
        trainer = training.trainer(precision=precision)
        trainer.test(task, datamodule=data(corpus), verbose=False)
        reports[precision] = task.report["energy"]
    assert reports["bf16-mixed"] == pytest.approx(reports["32-true"], abs=0.02)
    assert reports["bf16-mixed"] != reports["32-true"]


def test_maps_are_of_the_words_that_the_data_counts(corpus):
    task, found = make().eval(), {}
    for words in ("all", "words", "content"):
        module = data(corpus, map_words=words)
        module.setup("test")
        given = next(iter(module.test_dataloader()))
        found[words] = task.maps(given)
        looked = task.maps({**given, "mapped": given["attention_mask"]})
        torch.testing.assert_close(looked, found["all"])  # nothing else of the batch differs
    assert not torch.allclose(found["all"], found["words"])
    assert not torch.allclose(found["words"], found["content"])  # "the" counts no more


def test_maps_by_hiding_are_those_of_occlusion_and_are_judged(corpus):
    task = make(pointing=Pointing(hidden=1)).eval()
    given = batches(corpus, "test")[0]
    found = task.maps(given)
    with torch.no_grad():
        tokens, _ = task.backbone.encode_image(given["image"])
        states, _ = task.backbone.encode_text(given["input_ids"], given["attention_mask"])
        keys = task.backbone.project(tokens)
        expected = occlusion_maps(
            *(task.backbone.fusion, task.matcher, states, given["attention_mask"], keys),
            grid=task.backbone.image.grid,
            around=1,
        )
    torch.testing.assert_close(found, expected)
    training.trainer().test(task, datamodule=data(corpus), verbose=False)
    assert 0 < task.report["energy"] < 1


@pytest.mark.parametrize("attended", [False, True])
def test_hiding_reads_the_head_alone(corpus, attended):
    task = make(pointing=Pointing(hidden=1, attended=attended)).eval()
    given = batches(corpus, "test")[0]
    head = torch.zeros_like(given["attention_mask"])
    head[:, 1:3] = True
    alone = slice(0, 3)  # [CLS] and the head: what follows might as well not be there
    ids, mask = given["input_ids"][:, alone], given["attention_mask"][:, alone]
    with torch.no_grad():
        tokens, _ = task.backbone.encode_image(given["image"])
        states, _ = task.backbone.encode_text(ids, mask)
        keys, grid = task.backbone.project(tokens), task.backbone.image.grid
        fusion = task.backbone.fusion
        expected = occlusion_maps(fusion, task.matcher, states, mask, keys, grid=grid, around=1)
        if attended:
            looks = attention_maps(fusion, states, mask, keys)
            mean = expression_maps(looks, head[:, alone], grid)
            expected = sum_of_scaled(expected, mean)
    found = task.maps({**given, "mapped": head})
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, task.maps({**given, "mapped": given["attention_mask"]}))


class Oracle(GroundingTask):
    """Its maps are 1 inside the true box."""

    def maps(self, batch):
        grid, size = 32, batch["size"][0, 0].item()
        found = torch.zeros(len(batch["key"]), grid, grid)
        for row, box in enumerate((batch["box"] * grid / size).int().tolist()):
            x, y, w, h = box
            found[row, y : y + h, x : x + w] = 1
        return found


@pytest.mark.parametrize("fade", [False, True])
def test_oracle_is_always_right_and_its_contrary_never(corpus, fade):
    task = make()
    task.__class__ = Oracle
    if fade:
        task.__class__ = type(
            "Contrary", (Oracle,), {"maps": lambda self, b: 1 - Oracle.maps(self, b)}
        )
    training.trainer().test(task, datamodule=data(corpus), verbose=False)
    wanted = (0, 0, 0) if fade else (1, 1, 1)
    report = task.report
    assert (report["pointing"], report["iou_accuracy"], report["energy"]) == pytest.approx(wanted)


def test_random_maps_point_as_often_as_boxes_are_large(tmp_path):
    class Random(GroundingTask):
        def maps(self, batch):
            return torch.rand(len(batch["key"]), 32, 32)

    write_shards(grounded_pairs(300), tmp_path / "many")
    task = make()
    task.__class__ = Random
    torch.manual_seed(0)
    module = GroundingData(test=str(tmp_path / "many"), image_size=32, batch_size=50, workers=0)
    training.trainer().test(task, datamodule=module, verbose=False)
    # Squares of 16 pixels in pictures of 32; their standard error is 0.025.
    assert task.report["pointing"] == pytest.approx(0.25, abs=0.08)
    assert task.report["energy"] == pytest.approx(0.25, abs=0.02)
    assert task.report["random_box"] == pytest.approx((1 / 3 + 1 / 2) / 2, abs=0.01)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_predictions_are_points_and_boxes_in_original_pixels(tmp_path, precision):
    notes = {"box": None, "size": [64, 64], "detections": [[0, 0, 40, 60], [40, 0, 24, 60]]}
    write_shards(grounded_pairs(3, notes), tmp_path / "a")
    module = GroundingData(
        predict=str(tmp_path / "a"), image_size=training.SIZE, batch_size=2, workers=0
    )
    trainer = training.trainer(precision=precision)
    found = trainer.predict(make(), datamodule=module)
    assert [key for part in found for key in part["key"]] == ["g-00000", "g-00001", "g-00002"]
    for part in found:
        for point, box in zip(part["point"], part["box"], strict=True):
            assert all(0 < n < 64 for n in point)
            assert box in notes["detections"]
    assert found[0]["expression"][0] == "the red square"


def test_without_detections_there_is_no_best_box(tmp_path):
    write_shards(grounded_pairs(4, {"detections": None}), tmp_path / "a")
    module = GroundingData(
        **dict.fromkeys(("test", "predict"), str(tmp_path / "a")),
        image_size=training.SIZE,
        batch_size=2,
        workers=0,
    )
    task = make(pointing=Pointing(tolerance=3))
    assert training.trainer().predict(task, datamodule=module)[0]["box"] == [None, None]
    logged = training.trainer().test(task, datamodule=module, verbose=False)[0]
    assert "iou_accuracy" not in task.report
    assert logged["test/grounding"] == pytest.approx(task.report["pointing"])


@pytest.mark.parametrize(("verb", "says"), [("test", "to test its"), ("validate", "to validate")])
def test_sample_without_box_is_named(tmp_path, verb, says):
    pairs = [*grounded_pairs(2), *list(grounded_pairs(3, {"box": None}))[2:]]
    write_shards(pairs, tmp_path / "a")
    module = GroundingData(
        **dict.fromkeys(("test", "val"), str(tmp_path / "a")), image_size=32, workers=0
    )
    with pytest.raises(InputError, match=f"'g-00002' has no box, .* {says}.*predict.*null"):
        getattr(training.trainer(), verb)(make(), datamodule=module, verbose=False)


def test_four_samples_are_learnt_by_heart(corpus):
    optim = Optim(lr=5e-3, warmup_steps=0, min_lr=5e-4)
    task = make(1.0, Turns, {"width": 64}, optim=optim, contrast={"queue_size": 4})
    given = batches(corpus)[0]
    fit = training.trainer(max_steps=45, gradient_clip_val=1.0)
    fit.fit(task, datamodule=training.Given([given]))
    first, last = task.steps[0], task.steps[-1]
    assert sum(last.values()) < sum(first.values()) / 2
    assert last["itm"] < first["itm"] / 2
    assert last["soft"] < first["soft"] / 2
