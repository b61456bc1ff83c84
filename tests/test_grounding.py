"""Maps of expressions, their judgement, report and drawing, against plain loops."""

import math

import numpy as np
import pytest
import tiny
import torch
import training
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from refer import grounded_pairs
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn import functional as F

from data_modules import GroundingData
from data_modules.write import write_shards
from softmask.callbacks import GroundingPanels, SoftMaskPanels
from softmask.grounding import (
    best_box,
    enlarge,
    expression_maps,
    grounding_report,
    judge,
    sum_of_scaled,
    up_to_last,
)
from softmask.panels import SIDE, Grounded, grounding_panel
from softmask.tables import grounding_table
from softmask.tasks import GroundingTask, Pointing, SoftMasking

NAN = float("nan")


def test_map_of_an_expression_is_the_mean_of_its_words():
    cam, mapped = tiny.draw(2, 4, 7), torch.tensor([[1, 1, 1, 0], [0, 1, 0, 0]]).bool()
    got = expression_maps(cam, mapped, (2, 3))
    for b, words in enumerate(([0, 1, 2], [1])):
        for place in range(6):
            expected = sum(cam[b, w, 1 + place].item() for w in words) / len(words)
            assert got[b, place // 3, place % 3].item() == pytest.approx(expected)


def test_texts_end_with_their_last_mapped_word():
    mapped = torch.tensor([[0, 1, 0, 1, 0], [0, 0, 0, 0, 1], [1, 0, 0, 0, 0]]).bool()
    read = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]]).bool()
    assert torch.equal(up_to_last(mapped), read)


def test_maps_of_several_kinds_count_alike():
    one = torch.tensor([[[0.0, 2.0], [1.0, 4.0]], [[5.0, 5.0], [5.0, 5.0]]])
    other = torch.tensor([[[300.0, 100.0], [200.0, 100.0]], [[0.0, 1.0], [0.0, 0.0]]])
    expected = torch.tensor([[[1.0, 0.5], [0.75, 1.0]], [[0.0, 1.0], [0.0, 0.0]]])
    torch.testing.assert_close(sum_of_scaled(one, other), expected)  # an even map tells nothing


def test_dividing_by_padding_as_albef_does_changes_no_choice():
    """ALBEF's mean runs over padded tokens: a factor that every box shares."""
    cam, mapped = tiny.draw(1, 5, 10).abs(), torch.tensor([[1, 1, 1, 0, 0]]).bool()
    ours = enlarge(expression_maps(cam, mapped, (3, 3))[0], torch.tensor([12, 12]))
    theirs = enlarge(
        (cam * mapped[..., None]).mean(dim=1)[0, 1:].view(3, 3), torch.tensor([12, 12])
    )
    boxes = torch.tensor([[0.0, 0, 5, 5], [4.0, 4, 6, 8], [7.0, 2, 4, 4]])
    assert torch.equal(best_box(ours, boxes), best_box(theirs, boxes))
    torch.testing.assert_close(ours * 3 / 5, theirs)


def cubic(x, a=-0.75):
    """Keys' kernel, as torch has it."""
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def test_enlarged_map_has_the_pictures_size_and_bicubic_values():
    patches = tiny.draw(3, 4, dtype=torch.float32)
    large = enlarge(patches, torch.tensor([10, 7]))
    assert large.shape == (7, 10)
    for row, column in ((0, 0), (3, 5), (6, 9), (2, 7)):
        y, x = (row + 0.5) * 3 / 7 - 0.5, (column + 0.5) * 4 / 10 - 0.5
        expected = sum(
            cubic(y - j) * cubic(x - i) * patches[min(max(j, 0), 2), min(max(i, 0), 3)].item()
            for j in range(math.floor(y) - 1, math.floor(y) + 3)
            for i in range(math.floor(x) - 1, math.floor(x) + 3)
        )
        assert large[row, column].item() == pytest.approx(expected, abs=1e-5)


def sample(box, detections, size=(20, 10)):
    return {
        "box": torch.tensor([box]),
        "size": torch.tensor([size]),
        "detections": torch.tensor([detections]).reshape(1, -1, 4),
    }


def painted(box, size=(20, 10)):
    """A map that is 1 inside its box."""
    x, y, w, h = map(int, box)
    saliency = torch.zeros(size[1], size[0])
    saliency[y : y + h, x : x + w] = 1
    return saliency


BOX, OTHER = [2.0, 3.0, 6.0, 5.0], [11.0, 1.0, 8.0, 8.0]


def test_map_of_the_true_box_is_right_in_every_way():
    batch = sample(BOX, [OTHER, BOX, [NAN] * 4])
    found = {k: v.item() for k, v in judge(painted(BOX), batch, 0, Pointing()).items()}
    assert found == {
        "pointing": 1,
        "energy": 1,
        "box_share": pytest.approx(30 / 200),
        "centre": 0,
        "iou_accuracy": 1,
        "random_box": 0.5,  # one of two candidates, the third is none
        "detections": 2,
    }


def test_map_of_another_box_is_wrong_in_every_way():
    batch = sample(BOX, [OTHER, BOX])
    found = judge(painted(OTHER), batch, 0, Pointing())
    assert [found[k].item() for k in ("pointing", "energy", "iou_accuracy")] == [0, 0, 0]


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_map_without_a_peak_points_nowhere(value):
    """Its first largest pixel would be the corner, inside this box."""
    batch = sample([0.0, 0.0, 5.0, 5.0], [])
    found = judge(torch.full((10, 20), value), batch, 0, Pointing(tolerance=9.0))
    assert found["pointing"] == 0


def test_tolerance_and_power_are_heeded():
    saliency = torch.zeros(10, 20)
    saliency[5, 9] = 1  # its centre is at 9.5, the box ends at 8
    batch = sample(BOX, [])
    assert judge(saliency, batch, 0, Pointing(tolerance=1.4))["pointing"] == 0
    assert judge(saliency, batch, 0, Pointing(tolerance=1.5))["pointing"] == 1
    assert judge(saliency, batch, 0, Pointing(tolerance=2.0))["centre"] == 1  # at 10, 5
    flat = painted(BOX) + 0.1
    all_of_it = sample([0.0, 0.0, 20.0, 10.0], [[0.0, 0.0, 20.0, 10.0], BOX])
    assert judge(flat, all_of_it, 0, Pointing(power=0.0))["iou_accuracy"] == 1
    assert judge(flat, all_of_it, 0, Pointing(power=1.0))["iou_accuracy"] == 0


def columns(hits, **more):
    hits = torch.tensor(hits, dtype=torch.float)
    zeros = dict.fromkeys(("energy", "box_share", "centre", "iou_accuracy", "random_box"))
    given = {name: torch.zeros(len(hits)) for name in (*zeros, "detections")}
    return {**given, "pointing": hits, "image_id": torch.arange(len(hits)), **more}


def test_report_has_a_part_for_each_split():
    names = ["val", "testA", "testA", "", "testB"]
    report = grounding_report(columns([1, 1, 0, 0, 1]), names)
    assert (report["count"], report["pointing"]) == (5, pytest.approx(0.6))
    parts = {n: (p["count"], p["pointing"]) for n, p in report["splits"].items()}
    assert parts == {"testA": (2, 0.5), "testB": (1, 1.0), "val": (1, 1.0)}
    low, high = report["interval"]["pointing"]
    assert low < 0.6 < high
    table = grounding_table(report, "a/b")
    assert "Grounding on a/b: 5 expressions" in table
    assert [line.split()[:3] for line in table.splitlines()[2:]] == [
        ["all", "5", "60.0"],
        ["testA", "2", "50.0"],
        ["testB", "1", "100.0"],
        ["val", "1", "100.0"],
    ]


def test_boxes_are_reported_where_there_are_any_and_a_sample_without_is_a_miss():
    splits = ["", ""]
    assert "iou_accuracy" not in grounding_report(columns([1, 1]), splits)
    given = columns(
        [1, 1], iou_accuracy=torch.tensor([1.0, 0.0]), detections=torch.tensor([3.0, 0.0])
    )
    report = grounding_report(given, splits)
    assert report["iou_accuracy"] == 0.5
    assert "box right" in grounding_table(report, "x")
    assert "splits" not in report


def test_bicubic_is_albefs():
    """What the official evaluation calls, on a map of its size."""
    patches = tiny.draw(24, 24, dtype=torch.float32)
    theirs = F.interpolate(patches.view(1, 1, 24, 24), size=(48, 64), mode="bicubic").squeeze()
    assert torch.equal(enlarge(patches, torch.tensor([64, 48])), theirs)


def test_drawing_shows_box_point_and_choice():
    image = np.full((8, 8, 3), 250, dtype=np.uint8)
    patches = torch.zeros(4, 4)
    patches[0, 3] = 1
    box, best = (0.0, 0.5, 0.25, 0.5), (0.5, 0.0, 0.5, 0.25)
    row = Grounded(image, "that one", patches, (0.875, 0.125), box, best, 0.0)
    drawn = grounding_panel([row, row]).astype(int)
    assert drawn.shape == (34 + 2 * (SIDE + 56), 2 * (SIDE + 12) + 12, 3)
    meant, shown = ((34, 12), (34, 24 + SIDE))
    for top, left in (meant, shown):
        red, green, blue = drawn[top + SIDE * 3 // 4, left + SIDE // 4]  # its right edge
        assert green > red + 50
        assert green > blue + 50
    top, left = shown
    for y, x in ((SIDE // 4, SIDE * 3 // 4), (SIDE // 8, SIDE * 7 // 8)):  # chosen edge, point
        red, green, blue = drawn[top + y, left + x]
        assert red > green + 50
        assert red > blue + 50
    assert (drawn[meant[0] + SIDE // 8, meant[1] + SIDE * 7 // 8] == 250).all()


@pytest.mark.parametrize("detections", [None, [[0, 0, 9, 9]]])
def test_run_leaves_a_drawing(tmp_path, detections):
    write_shards(grounded_pairs(3, {"detections": detections}), tmp_path / "a")
    data = GroundingData(
        **dict.fromkeys(("test", "val"), str(tmp_path / "a")), image_size=32, workers=0
    )
    task = GroundingTask(training.backbone(), soft_mask=SoftMasking(weight=0.0, layer=1))
    logger = TensorBoardLogger(tmp_path, name=None, version="run")
    trainer = training.trainer(logger=logger, callbacks=[GroundingPanels(2), SoftMaskPanels(2)])
    trainer.validate(task, datamodule=data, verbose=False)
    assert not list((tmp_path / "run").glob("*.png"))
    trainer.test(task, datamodule=data, verbose=False)
    assert [file.name for file in (tmp_path / "run").glob("*.png")] == ["grounding.png"]
    with Image.open(tmp_path / "run" / "grounding.png") as drawn:
        assert drawn.size == (2 * (SIDE + 12) + 12, 34 + 2 * (SIDE + 56))
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path / "run"), size_guidance={"images": 0})
    events.Reload()
    assert set(events.Tags()["images"]) == {"grounding/val", "grounding/test"}


@pytest.mark.parametrize(("samples", "mapped"), [(2, 2), (5, 3)])
def test_only_what_is_drawn_is_mapped(tmp_path, monkeypatch, samples, mapped):
    write_shards(grounded_pairs(3), tmp_path / "a")
    batch = GroundingData(test=str(tmp_path / "a"), image_size=32, workers=0).look("test", range(3))
    task = GroundingTask(training.backbone(), soft_mask=SoftMasking(weight=0.0, layer=1)).eval()
    drawn, maps, seen = GroundingPanels(3).draw(training.trainer(), task, batch), task.maps, []
    monkeypatch.setattr(task, "maps", lambda given: seen.append(given) or maps(given))
    few = GroundingPanels(samples).draw(training.trainer(), task, batch)
    assert [len(given["image"]) for given in seen] == [mapped]
    width = few.pixels.shape[1]
    assert (few.pixels == drawn.pixels[: len(few.pixels), :width]).mean() > 0.99


def test_no_samples_no_drawing(tmp_path):
    write_shards(grounded_pairs(2), tmp_path / "a")
    data = GroundingData(test=str(tmp_path / "a"), image_size=32, workers=0)
    task = GroundingTask(training.backbone(), soft_mask=SoftMasking(weight=0.0, layer=1))
    trainer = training.trainer(default_root_dir=tmp_path, callbacks=[GroundingPanels(0)])
    trainer.test(task, datamodule=data, verbose=False)
    assert not list(tmp_path.glob("*.png"))
