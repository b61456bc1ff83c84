"""Captions of two ranks are those of one: scores, submission, loss."""

import pytest
import ranks
import tiny
import training
from fake import write_fake_pairs

from data_modules import CaptionData
from softmask.generation import Search
from softmask.optim import Optim
from softmask.tasks import CaptionTask

COUNTS = (7, 1)


def job(world, _, folder):
    found = {}
    for count in COUNTS:
        data = CaptionData(
            test=str(folder / str(count)),
            image_size=training.SIZE,
            eval_batch_size=3,
            workers=0,
        )
        task = CaptionTask(training.backbone(), search=Search(beams=2, max_tokens=4))
        tiny.shake(task, by=0.5)
        logged = ranks.trainer(world).test(task, datamodule=data, verbose=False)[0]
        found[str(count)] = [task.report, task.submission, logged]
    return found | {"losses": losses(world, folder)}


def losses(world, folder):
    """Of this rank, in three steps over captions of several lengths."""
    data = CaptionData(
        str(folder / "7"),
        distortion=training.STILL,
        image_size=training.SIZE,
        batch_size=6 // world,
        workers=0,
    )
    task = CaptionTask(training.backbone(), Optim(lr=1e-3, warmup_steps=0))
    seen = []
    task.total = lambda named, keys: seen.append(named["caption"].item()) or named["caption"]
    ranks.trainer(world, max_steps=3).fit(task, datamodule=data)
    return seen


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    for count in COUNTS:
        write_fake_pairs(folder / str(count), count, shard_size=4, captions=1 + 2 * (count // 7))
    return job(1, 0, folder), ranks.on_ranks(job, folder / "ranks", folder)


@pytest.mark.parametrize("count", COUNTS)
def test_two_ranks_write_and_score_what_one_does(found, count):
    one, both = found[0][str(count)], [rank[str(count)] for rank in found[1]]
    assert one[0]["images"] == one[0]["captioned"] == len(one[1]) == count
    assert both == [one, one]


def test_captions_are_not_all_alike(found):
    assert len({row["caption"] for row in found[0]["7"][1]}) > 1


def test_two_ranks_learn_what_one_does(found):
    one, both = found[0]["losses"], [rank["losses"] for rank in found[1]]
    assert one[2] < one[0]
    assert both[0] != both[1]
    # Each rank divides by the mean number of tokens of both.
    assert [sum(step) / 2 for step in zip(*both, strict=True)] == pytest.approx(one, rel=1e-5)
