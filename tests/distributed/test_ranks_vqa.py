"""VQA on two ranks is VQA on one: accuracy, baseline, types and submission, for odd numbers too."""

import asking
import pytest
import ranks
import tiny
from corpora import write_vqa

from data_modules import VqaData

COUNTS = (11, 1)


def job(world, _, folder):
    found = {}
    for name, kind in asking.KINDS.items():
        for count in COUNTS:
            data = VqaData(
                test=str(folder / str(count)), eval_batch_size=3, eval_tokens=32, **asking.SETTINGS
            )
            task = asking.task(kind, folder)
            tiny.shake(task)
            logged = ranks.trainer(world).test(task, datamodule=data, verbose=False)[0]
            found[f"{name} {count}"] = [task.report, task.submission, logged]
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    asking.listed(folder)
    for count in COUNTS:
        write_vqa(folder / str(count), count, seed=3)
    return job(1, 0, folder), ranks.on_ranks(job, folder / "ranks", folder)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", asking.KINDS)
def test_two_ranks_report_and_hand_in_what_one_does(found, name, count):
    one, both = found[0][f"{name} {count}"], [rank[f"{name} {count}"] for rank in found[1]]
    assert one[0]["questions"] == len(one[1]) == count
    assert len({row["question_id"] for row in one[1]}) == count
    assert both == [one, one]


def test_scores_are_not_all_alike(found):
    report = found[0]["decoder 11"][0]
    assert len({report["accuracy"], report["majority"], *report["by_type"].values()}) > 2
    assert len({*report["by_answer_type"].values()}) > 1
