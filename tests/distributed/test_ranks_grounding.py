"""Grounding on two ranks is grounding on one, whatever the number of samples and their parts."""

import pytest
import ranks
import tiny
import torch
import training
from refer import grounded_pairs

from data_modules import GroundingData
from data_modules.write import write_shards
from softmask.optim import Optim
from softmask.tasks import Contrast, GroundingTask, SoftMasking

COUNTS = (9, 1)


def job(world, _, folder):
    reports = {}
    for count in COUNTS:
        path = str(folder / str(count))
        data = GroundingData(
            val=path, train=path, image_size=training.SIZE, eval_batch_size=2, workers=0
        )
        task = GroundingTask(
            training.backbone(),
            contrast=Contrast(queue_size=8, match_captions=False),
            soft_mask=SoftMasking(weight=1.0, layer=1),
            optim=Optim(freeze=("image", "text"), layer_decay=0.9),
        )
        tiny.shake(task.backbone)
        tiny.shake(task.matcher, by=1.0)
        logged = ranks.trainer(world).validate(task, datamodule=data, verbose=False)[0]
        reports[count] = {"report": task.report, "logged": logged}
    data = GroundingData(
        train=str(folder / "9"), image_size=training.SIZE, batch_size=4 // world, workers=0
    )
    frozen = task.backbone.image.state_dict()
    before = {name: value.clone() for name, value in frozen.items()}
    ranks.trainer(world, max_steps=2).fit(task.train(), datamodule=data)
    still = all(torch.equal(value, before[name]) for name, value in frozen.items())
    return {"reports": reports, "steps": task.global_step, "still": still}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    for count in COUNTS:
        write_shards(grounded_pairs(count), folder / str(count), shard_size=4)
    return job(1, 0, folder), ranks.on_ranks(job, folder / "ranks", folder)


@pytest.mark.parametrize("count", COUNTS)
def test_report_is_that_of_one_process(found, count):
    one, both = found[0]["reports"][count], [rank["reports"][count] for rank in found[1]]
    assert one["report"]["count"] == count  # a repeated sample counts once
    for rank in both:
        assert rank["report"]["interval"].keys() == one["report"]["interval"].keys()
        for name, value in flat(one["report"]).items():
            assert flat(rank["report"])[name] == pytest.approx(value, abs=1e-6), name
        assert rank["logged"] == pytest.approx(one["logged"], abs=1e-6)
    assert flat(both[0]["report"]) == flat(both[1]["report"])


def flat(report, place=""):
    found = {}
    for name, value in report.items():
        inner = dict(enumerate(value)) if isinstance(value, list) else value
        nested = isinstance(inner, dict)
        found |= flat(inner, f"{place}{name}/") if nested else {f"{place}{name}": value}
    return found


def test_parts_that_one_rank_alone_has_are_reported(found):
    assert set(found[0]["reports"][9]["report"]["splits"]) == {"val", "testA"}
    assert "splits" not in found[0]["reports"][1]["report"]  # one part alone is all


def test_steps_with_soft_masks_and_frozen_encoders_work_on_ranks(found):
    assert [(rank["steps"], rank["still"]) for rank in (found[0], *found[1])] == [(2, True)] * 3
