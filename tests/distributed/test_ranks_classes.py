"""Classes on two ranks: scores are those of one, and plain data-parallel training works."""

import classes
import pytest
import ranks
import tiny
import training
from corpora import entailments, statements

from data_modules import EntailmentData, Nlvr2Data
from data_modules.write import write_shards
from softmask.errors import InputError
from softmask.tasks import EntailmentTask, Nlvr2PretrainTask, Nlvr2Task

COUNT = 13  # no multiple of ranks and batches
TASKS = {
    "snli_ve": (EntailmentTask, EntailmentData, entailments),
    "nlvr2": (Nlvr2Task, Nlvr2Data, statements),
}
SIZES = {"image_size": training.SIZE, "workers": 0, "eval_batch_size": 3, "batch_size": 2}


def scores(world, folder):
    found = {}
    for name, (kind, data, _) in TASKS.items():
        task = classes.task(kind)
        tiny.shake(task.backbone)
        given = data(val=str(folder / name), **SIZES)
        logged = ranks.trainer(world).validate(task, datamodule=given, verbose=False)[0]
        found[name] = {"report": task.report, "logged": logged}
    return found


def repeated(world, folder):
    """What each task says of a sample that comes twice."""
    said = {}
    for name, (kind, data, _) in TASKS.items():
        given = data(val=str(folder / f"{name}-twice"), **SIZES)
        try:
            ranks.trainer(world).validate(classes.task(kind), datamodule=given, verbose=False)
        except InputError as error:
            said[name] = str(error)
    return said


def trained(world, rank):
    """Parameters after two steps of plain DDP, which stops where one has no gradient."""
    state = {}
    for kind in (EntailmentTask, Nlvr2Task, Nlvr2PretrainTask):
        if kind is Nlvr2PretrainTask:
            task = Nlvr2PretrainTask(training.backbone(fusion_layers=2))
            options = training.text(augment="none")
            given = [training.batch(4, options, skip=4 * rank)] * 2
        else:
            task, given = classes.task(kind), [classes.batch(kind, 4, skip=4 * rank)] * 2
        ranks.trainer(world, max_steps=2).fit(task, datamodule=training.Given(given))
        state |= {f"{kind.__name__}.{name}": value for name, value in task.state_dict().items()}
    return state


def job(world, rank, folder):
    found = {"scores": scores(world, folder), "repeated": repeated(world, folder)}
    return {**found, "state": trained(world, rank)} if world > 1 else found


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    for name, (_, _, pairs) in TASKS.items():
        write_shards(pairs(COUNT), folder / name, shard_size=4)
        twice = list(pairs(COUNT))
        twice[7] = twice[7]._replace(meta=twice[2].meta)
        write_shards(twice, folder / f"{name}-twice", shard_size=4)
    return job(1, 0, folder), ranks.on_ranks(job, folder / "ranks", folder)


@pytest.mark.parametrize("name", TASKS)
def test_scores_are_those_of_one_process(found, name):
    one, both = found[0]["scores"][name], [rank["scores"][name] for rank in found[1]]
    assert one["report"]["count"] == COUNT  # a repeated sample counts once
    assert 0 < one["report"]["accuracy"] < 1
    assert both == [one, one]


@pytest.mark.parametrize("name", TASKS)
def test_a_repeated_identifier_is_named_by_every_rank(found, name):
    one, both = found[0]["repeated"][name], [rank["repeated"][name] for rank in found[1]]
    assert both == [one, one]
    assert "places 2, 7" in one


def test_ranks_train_without_a_search_for_unused_parameters(found):
    one, two = (rank["state"] for rank in found[1])
    assert one.keys() == two.keys()
    assert all(value.equal(two[name]) for name, value in one.items())
