import pickle
import time

import cv2
import numpy as np
import pytest
import torch
from fake import write_fake_pairs

from data_modules.loader import EvaluationLoader, PairLoader, _settle
from data_modules.order import EvaluationPlan, TrainPlan
from data_modules.shards import ShardSet
from softmask.errors import InputError

COUNT = 43
GLOBAL = 8
STEPS = COUNT // GLOBAL


def make(samples, epoch):
    return {
        "position": torch.tensor([sample.position for sample in samples]),
        "key": [sample.key for sample in samples],
        "epoch": epoch,
    }


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return ShardSet(write_fake_pairs(tmp_path_factory.mktemp("data"), COUNT, shard_size=10))


def loader(shards, *, workers=0, world=1, rank=0, seed=0, size=None, **options):
    plan = TrainPlan(
        shards.counts, size or GLOBAL // world, rank=rank, world=world, seed=seed, window=15
    )
    return PairLoader(shards, plan, make, workers=workers, **options)


def flat(lists):
    return [item for one in lists for item in one]


def passes(loader, count):
    return [[(b["epoch"], b["position"].tolist()) for b in loader] for _ in range(count)]


def test_global_batches_are_the_same_for_any_topology(shards):
    expected = passes(loader(shards), 2)
    assert [len(one) for one in expected] == [STEPS, STEPS]
    assert [batch[0] for one in expected for batch in one] == [0] * STEPS + [1] * STEPS
    for world in (1, 2, 4):
        for workers in (0, 1, 2):
            ranks = [
                passes(loader(shards, world=world, rank=rank, workers=workers), 2)
                for rank in range(world)
            ]
            joined = [
                [
                    (parts[0][0], [n for p in parts for n in p[1]])
                    for parts in zip(*one, strict=True)
                ]
                for one in zip(*ranks, strict=True)
            ]
            assert joined == expected


def test_an_epoch_repeats_nothing_and_the_next_differs(shards):
    first, second = passes(loader(shards), 2)
    for one in (first, second):
        seen = [position for _, batch in one for position in batch]
        assert len(set(seen)) == STEPS * GLOBAL
    assert [b for _, b in first] != [b for _, b in second]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", range(2 * STEPS + 1))
def test_resume_gives_exactly_the_rest(shards, workers, done):
    if workers and done not in (0, 3, STEPS - 1, STEPS, STEPS + 2):
        workers = 1
    whole = flat(passes(loader(shards), 3))
    running = loader(shards, workers=workers)
    taken = []
    while len(taken) < done:
        for batch in running:
            taken.append((batch["epoch"], batch["position"].tolist()))
            if len(taken) == done:
                break
    state = pickle.loads(pickle.dumps(running.state_dict()))
    assert (state["epoch"], state["step"]) == divmod(done, STEPS)
    resumed = loader(shards, workers=2 if workers == 0 and done == 3 else workers)
    resumed.load_state_dict(state)
    assert len(resumed) == STEPS
    rest = flat(passes(resumed, 3 - done // STEPS))
    assert taken + rest == whole


def test_a_second_resume_is_exact(shards):
    whole = flat(passes(loader(shards), 2))
    taken = []
    state = None
    for count, workers in [(2, 0), (1, 2), (2, 1), (4, 0)]:
        running = loader(shards, workers=workers)
        if state is not None:
            running.load_state_dict(state)
        end = len(taken) + count
        while len(taken) < end:
            for batch in running:
                taken.append((batch["epoch"], batch["position"].tolist()))
                if len(taken) == end:
                    break
        state = running.state_dict()
    assert taken == whole[: len(taken)]
    assert len(taken) == 9


def test_workers_that_are_ahead_do_not_move_the_place(shards):
    running = loader(shards, workers=2)
    iterator = iter(running)
    next(iterator)
    next(iterator)
    assert running.state_dict()["step"] == 2
    meaning = {"seed": 0, "window": 15, "samples": COUNT, "global_batch": GLOBAL}
    assert running.state_dict() == {"epoch": 0, "step": 2, **meaning}


def test_the_place_moves_before_the_last_batch_leaves(shards):
    running = loader(shards)
    iterator = iter(running)
    for _ in range(STEPS):
        next(iterator)
    assert (running.state_dict()["epoch"], running.state_dict()["step"]) == (1, 0)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_limited_pass_ends_an_epoch(shards, workers):
    whole = passes(loader(shards), 2)
    limited = loader(shards, workers=workers, stop=3)
    assert len(limited) == STEPS
    assert passes(limited, 2) == [whole[0][:3], whole[1][:3]]
    assert limited.state_dict()["epoch"] == 2


@pytest.mark.parametrize("step", [2, 3, STEPS - 1])
def test_a_saved_place_beyond_a_limit_begins_the_next_epoch(shards, step):
    whole = passes(loader(shards), 2)
    limited = loader(shards, stop=3)
    limited.load_state_dict({**limited.state_dict(), "step": step})
    assert limited.tally.start == (0, step)  # dropped.jsonl keeps what was listed before
    rest = [whole[0][step:3], whole[1][:3]][step >= 3 :]
    assert passes(limited, len(rest)) == rest


def test_overfitting_repeats_epoch_0(shards):
    once = passes(loader(shards), 1)[0]
    assert passes(loader(shards, same_epoch=True), 2) == [once, once]


def test_global_random_numbers_stay(shards):
    torch.manual_seed(0)
    np.random.seed(0)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(0)
    np.random.seed(0)
    passes(loader(shards), 1)
    assert (torch.rand(1), np.random.rand()) == expected


def test_another_seed_or_global_batch_is_refused(shards):
    state = loader(shards).state_dict()
    with pytest.raises(
        InputError, match=r"saved with seed 0 but this run has 1.*data\.init_args\.seed"
    ):
        loader(shards, seed=1).load_state_dict(state)
    with pytest.raises(InputError, match=r"global_batch 8 but this run has 4.*batch_size"):
        loader(shards, size=4).load_state_dict(state)
    loader(shards, world=2, size=4).load_state_dict(state)


def test_too_few_samples(shards):
    with pytest.raises(InputError, match=r"43 samples.*takes 44"):
        loader(shards, size=44)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("world", [1, 2, 4])
def test_evaluation_sees_each_sample(shards, workers, world):
    seen, lengths = [], set()
    for rank in range(world):
        plan = EvaluationPlan(COUNT, 5, rank=rank, world=world)
        running = EvaluationLoader(shards, plan, make, workers=workers)
        first = [batch["position"].tolist() for batch in running]
        assert first == [batch["position"].tolist() for batch in running]
        assert len(first) == len(running)
        lengths.add(len(first))
        seen += flat(first)
    assert set(seen) == set(range(COUNT))
    assert len(lengths) == 1


def test_evaluation_keeps_no_place(shards):
    plan = EvaluationPlan(COUNT, 5, rank=0, world=1)
    running = EvaluationLoader(shards, plan, make, workers=1)
    next(iter(running))
    assert next(iter(running))["position"].tolist() == [0, 1, 2, 3, 4]
    assert not hasattr(running, "state_dict")


@pytest.mark.parametrize("end", ["close", "del"])
def test_workers_end_at_once(shards, end):
    running = loader(shards, workers=2)
    first = next(iter(running))["position"].tolist()
    start = time.monotonic()
    if end == "close":
        running.close()
        assert running._loader is None
        running.load_state_dict({**running.state_dict(), "step": 0})
        assert next(iter(running))["position"].tolist() == first
    del running
    # torch waits 5 seconds for a worker that was not told to end.
    assert time.monotonic() - start < 4


def refuse(samples, epoch):
    raise InputError(f"sample {samples[0].key!r} of epoch {epoch} is broken")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_users_mistake_is_one_paragraph_from_workers_too(shards, workers):
    plan = EvaluationPlan(COUNT, 5, rank=0, world=1)
    running = EvaluationLoader(shards, plan, refuse, workers=workers)
    message = ""
    try:
        next(iter(running))
    except InputError as error:  # pytest.raises would keep the workers alive by the traceback
        message = str(error)
    running.close()
    assert message == "sample '0-00000' of epoch 0 is broken"


def test_a_system_that_cannot_say_who_sent_a_signal_keeps_its_own_way(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("signal.pthread_sigmask", lambda *_: pytest.fail("nobody would hear it"))
    before = cv2.getNumThreads()
    try:
        _settle(0)
    finally:
        cv2.setNumThreads(before)
