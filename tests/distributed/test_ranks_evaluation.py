"""Two ranks find and write what one does, whatever the number of samples and of their captions."""

import json

import pytest
import ranks
import tiny
import training
from corpora import write_retrieval, write_zeroshot
from fake import SHAPES, write_fake_pairs

from data_modules import ClassData, PretrainData
from softmask.callbacks import PairScores
from softmask.tasks import ClassRerank, Evaluation, ZeroShotTask

COUNTS = (19, 8, 1)
CAPTIONS = {19: 37, 8: 8, 1: 1}
SIZES = {"image_size": training.SIZE, "eval_batch_size": 3, "workers": 0}


def job(world, _, folder):
    reports = {}
    for count in COUNTS:
        data = PretrainData(val=str(folder / str(count)), **SIZES)
        task = training.task(evaluation=Evaluation(k_test=5))
        tiny.shake(task.backbone)
        reports[count] = validated(world, task, data)
    shapes = ClassData(list(SHAPES), str(folder / "shapes"), **SIZES)
    task = ZeroShotTask(training.backbone(), ClassRerank(k_test=2))
    tiny.shake(task.backbone)
    reports["shapes"] = validated(world, task, shapes)
    predict(world, folder)
    return {"reports": reports}


def validated(world, task, data):
    logged = ranks.trainer(world).validate(task, datamodule=data, verbose=False)[0]
    return {"report": task.report, "logged": logged}


def predict(world, folder):
    """Write the predictions of all ranks into one folder."""
    task = training.task()
    tiny.shake(task.backbone)
    given = {"callbacks": [PairScores()], "default_root_dir": folder / f"predicted-{world}"}
    data = PretrainData(predict=str(folder / str(COUNTS[0])), **SIZES)
    ranks.trainer(world, **given).predict(task, datamodule=data, return_predictions=False)


def predictions(folder, name):
    """What matches how well, by the file of a rank."""
    return {
        file.name: {
            (line["key"], line["position"], line["caption"]): line["match"]
            for line in map(json.loads, file.read_text().splitlines())
        }
        for file in folder.glob(f"{name}/*")
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    write_retrieval(folder / "19", 19, 0)  # one to three captions a picture
    for count in COUNTS[1:]:
        write_fake_pairs(folder / str(count), count, shard_size=4)
    write_zeroshot(folder / "shapes", 7, 0)
    return job(1, 0, folder)["reports"], ranks.on_ranks(job, folder / "ranks", folder), folder


@pytest.mark.parametrize("count", COUNTS)
def test_report_is_that_of_one_process(found, count):
    one, both = found[0][count], [rank["reports"][count] for rank in found[1]]
    assert one["report"]["test_size"] == count  # a repeated sample counts once
    assert one["report"]["captions"] == CAPTIONS[count]
    for rank in both:
        assert rank["report"] == one["report"]
        assert rank["logged"] == one["logged"]


def test_classification_is_that_of_one_process(found):
    one = found[0]["shapes"]
    assert one["report"]["test_size"] == 7
    assert 0 < one["report"]["itc"]["top1"] < 1
    for rank in found[1]:
        assert rank["reports"]["shapes"] == one


def test_each_rank_writes_predictions_of_its_own(found):
    (one,) = predictions(found[2], "predicted-1").values()
    both = predictions(found[2], "predicted-2")
    assert both.keys() == {"predictions-0.jsonl", "predictions-1.jsonl"}
    first, second = both.values()
    assert len(one) == CAPTIONS[COUNTS[0]]
    assert max(len(first), len(second)) < len(one)
    assert first | second == pytest.approx(one, rel=1e-4)


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
