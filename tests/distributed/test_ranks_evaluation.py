"""Recall on two ranks is recall on one, whatever the number of samples."""

import pytest
import ranks
import tiny
import training
from fake import write_fake_pairs

from data_modules import PretrainData
from softmask.tasks import Evaluation

COUNTS = (19, 8, 1)


def job(world, _, folder):
    reports = {}
    for count in COUNTS:
        data = PretrainData(
            val=str(folder / str(count)), image_size=training.SIZE, eval_batch_size=3, workers=0
        )
        task = training.task(evaluation=Evaluation(k_test=5))
        tiny.shake(task.backbone)
        logged = ranks.trainer(world).validate(task, datamodule=data, verbose=False)[0]
        reports[count] = {"report": task.report, "logged": logged}
    return {"reports": reports}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    for count in COUNTS:
        write_fake_pairs(folder / str(count), count, shard_size=4)
    return job(1, 0, folder)["reports"], ranks.on_ranks(job, folder / "ranks", folder)


@pytest.mark.parametrize("count", COUNTS)
def test_report_is_that_of_one_process(found, count):
    one, both = found[0][count], [rank["reports"][count] for rank in found[1]]
    assert one["report"]["test_size"] == count  # a repeated sample counts once
    for rank in both:
        assert rank["report"] == one["report"]
        assert rank["logged"] == one["logged"]


def test_recalls_are_not_all_alike(found):
    report = found[0][19]["report"]
    recalls = [
        recall
        for score in ("itc", "itm")
        for found in report[score].values()
        for name, recall in found.items()
        if name != "interval"
    ]
    assert len(set(recalls)) > 3
