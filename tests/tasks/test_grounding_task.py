"""Grounding's evaluation to the end: maps, report, predictions."""

import pytest
import torch
import training
from grounded import batches, data, make
from refer import grounded_pairs

from data_modules import GroundingData
from data_modules.write import write_shards
from softmask.errors import InputError
from softmask.grounding import expression_maps, sum_of_scaled
from softmask.occlusion import attention_maps, occlusion_maps
from softmask.tasks import GroundingTask, Pointing


@pytest.fixture(scope="module")
def corpus(corpus_of):
    return corpus_of("grounding")


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
