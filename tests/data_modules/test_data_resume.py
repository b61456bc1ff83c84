"""Where a run goes on: any cuts, any ranks, any workers give the samples of one that never stops.

Rows are keys with digests of what was drawn for them; a cut is a place saved and loaded.
"""

import pickle
import random
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import seen
from fake import fake_pairs, write_fake_pairs

from data_modules import PretrainData
from data_modules.loader import PairLoader
from data_modules.order import TrainPlan, fitting_devices
from data_modules.shards import ShardSet
from data_modules.write import write_shards
from softmask.errors import InputError

COUNT, GLOBAL, EPOCHS = 29, 4, 3
STEPS = EPOCHS * (COUNT // GLOBAL)


class Part(PretrainData):
    """What one rank of several reads, without a trainer."""

    def __init__(self, train, rank=0, world=1, *, workers=0, batch=GLOBAL, **options):
        self.place = rank, world
        options = {"image_size": 32, "seed": 0, "window": 9, "max_drop_rate": 1, **options}
        super().__init__(train=train, batch_size=batch // world, workers=workers, **options)

    def _topology(self):
        return self.place


BAD = (3, 4, 17)


@pytest.fixture(scope="module", params=[(), BAD], ids=["good", "some bad"])
def train(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    pairs = list(fake_pairs(COUNT, captions=3))
    for number in request.param:
        pairs[number] = pairs[number]._replace(image=b"no picture")
    write_shards(pairs, folder, shard_size=5)
    return str(folder)


def take(train, state, count, *, world=1, workers=0, **options):
    """Global batches of `count` steps from a saved place, and the place after them."""
    ranks, states = [], []
    for rank in range(world):
        data = Part(train, rank, world, workers=workers, **options)
        loader = data.train_dataloader()
        if state is not None:
            loader.load_state_dict(pickle.loads(state))
        rows = []
        while len(rows) < count:
            rows += [seen.samples(batch) for batch in islice(loader, count - len(rows))]
        states.append(pickle.dumps(loader.state_dict()))
        ranks.append(rows)
        data.teardown("fit")
    assert len(set(states)) == 1
    joined = [[row for part in parts for row in part] for parts in zip(*ranks, strict=True)]
    return joined, states[0]


@pytest.fixture(scope="module")
def whole(train):
    return take(train, None, STEPS)[0]


def test_each_epoch_is_drawn_anew(whole):
    per_epoch = STEPS // EPOCHS
    epochs = [whole[start : start + per_epoch] for start in range(0, STEPS, per_epoch)]
    for rows in epochs:
        keys = [key for batch in rows for key, _ in batch]
        assert len(keys) == per_epoch * GLOBAL
        assert len(set(keys)) >= len(keys) - len(BAD)  # others stand for the bad ones
    first, *others = ({digest for batch in rows for _, digest in batch} for rows in epochs)
    assert all(first.isdisjoint(other) for other in others)


@pytest.mark.parametrize("seed", range(12))
def test_random_cuts_change_nothing(seed, train, whole):
    """Twice and more, at epochs' ends, with no step between two; others go on with the rest."""
    draw = random.Random(seed)
    ends = [STEPS // EPOCHS, 2 * STEPS // EPOCHS]
    cuts = sorted(draw.choices([*range(STEPS), *ends], k=draw.randint(2, 4)))
    rows, state = [], None
    for start, end in zip([0, *cuts], [*cuts, STEPS], strict=True):
        world = draw.choice([1, 2, 4])
        workers = draw.choice([0, 0, 0, 1, 2]) if world == 1 else 0
        more, state = take(train, state, end - start, world=world, workers=workers)
        rows += more
    assert rows == whole


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("world", [1, 2, 4])
def test_global_batches_are_those_of_one_process(world, workers, train, whole):
    count = STEPS // EPOCHS + 2
    rows, state = take(train, None, count, world=world, workers=workers)
    assert rows == whole[:count]
    other = {1: 4, 2: 1, 4: 2}[world]
    assert take(train, state, 3, world=other)[0] == whole[count : count + 3]


@pytest.mark.parametrize("name", ["seed", "window", "samples"])
def test_what_would_change_the_order_is_refused(name, train, tmp_path):
    state = Part(train).train_dataloader().state_dict()
    if name == "samples":
        other = Part(write_fake_pairs(tmp_path, COUNT - 1))
    else:
        other = Part(train, **{name: 7})
    with pytest.raises(InputError, match=f"saved with {name} .* but this run has"):
        other.train_dataloader().load_state_dict(state)


@pytest.mark.parametrize(
    ("devices", "advice"),
    [
        (4, "set data.init_args.batch_size to 24"),
        (5, "5 devices cannot share 96 samples evenly, the nearest that can are 4 and 6; set "),
        (7, "the nearest that can are 6 and 8; set trainer.devices=6 with data.init_args."),
        (64, "are 48 and 96; set trainer.devices=48 with data.init_args.batch_size=2 or "),
        (100, "the nearest that can are 96; set trainer.devices=96 with data.init_args.batch_size"),
    ],
)
def test_devices_that_fit_are_named(devices, advice):
    assert advice in fitting_devices(96, devices)


def test_another_global_batch_is_refused_by_name(train):
    state = Part(train, batch=8).train_dataloader().state_dict()
    other = Part(train, rank=1, world=3, batch=9).train_dataloader()
    with pytest.raises(InputError) as refused:
        other.load_state_dict(state)
    assert str(refused.value) == (
        "The checkpoint was saved with global_batch 8 but this run has 9: 3 devices cannot share "
        "8 samples evenly, the nearest that can are 2 and 4; set trainer.devices=2 with "
        "data.init_args.batch_size=4 or trainer.devices=4 with data.init_args.batch_size=2, or "
        "start anew from its weights (model.init_args.init_from)."
    )


def counted(monkeypatch):
    """What is read and how many numbers are permuted from here on."""
    counts = {"reads": 0, "permuted": 0}
    real_read, real_rng = ShardSet.read, np.random.default_rng

    def read(self, position):
        counts["reads"] += 1
        return real_read(self, position)

    class Generator:
        def __init__(self, seed):
            self._real = real_rng(seed)

        def __getattr__(self, name):
            return getattr(self._real, name)

        def permutation(self, length):
            counts["permuted"] += length
            return self._real.permutation(length)

    monkeypatch.setattr(ShardSet, "read", read)
    monkeypatch.setattr(np.random, "default_rng", Generator)
    return counts


def test_resuming_reads_one_batch_wherever_it_is(train, monkeypatch):
    counts = counted(monkeypatch)
    per_epoch, shards = STEPS // EPOCHS, 6
    for step in (0, 3, per_epoch - 1):
        for epoch in (0, 1000):
            counts.update(reads=0, permuted=0)
            # Seeds of their own: what earlier places drew must not be at hand.
            loader = Part(train, seed=100 + step).train_dataloader()
            loader.load_state_dict({**loader.state_dict(), "epoch": epoch, "step": step})
            next(iter(loader))
            assert GLOBAL <= counts["reads"] <= GLOBAL + 6  # the bad ones' substitutes too
            assert counts["permuted"] <= shards + 2 * 9  # a batch lies in two windows at most


def test_resuming_ten_million_samples_permutes_one_window(monkeypatch):
    counts = counted(monkeypatch)
    options = {"rank": 3, "world": 8, "window": 10_000}
    for number, share in enumerate((0, 0.5, 0.999)):
        plan = TrainPlan((1000,) * 10_000, 64, seed=number, **options)
        loader = PairLoader(SimpleNamespace(counts=plan.counts), plan, None, workers=0)
        place = {"epoch": 7, "step": int(share * plan.steps)}
        loader.load_state_dict({**loader.state_dict(), **place})
        counts["permuted"] = 0
        plan(**place)
        assert counts["permuted"] <= 10_000 + 2 * 10_000  # the shards, and the batch's windows
