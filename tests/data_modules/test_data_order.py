from itertools import pairwise

import numpy as np
import pytest

from data_modules.order import (
    EvaluationPlan,
    batch_places,
    epoch_positions,
    steps_per_epoch,
)
from softmask.errors import InputError

COUNTS = (7, 1, 12, 5, 30)
TOTAL = sum(COUNTS)


@pytest.mark.parametrize("window", [1, 4, 20, TOTAL, 1000])
@pytest.mark.parametrize("epoch", [0, 3])
def test_an_epoch_is_a_permutation(window, epoch):
    places = epoch_positions(COUNTS, 1, epoch, window, 0, TOTAL)
    assert places.dtype == np.int64
    assert sorted(places) == list(range(TOTAL))


@pytest.mark.parametrize("window", [1, 4, 20, 1000])
def test_a_part_of_an_epoch_is_what_the_whole_says(window):
    whole = epoch_positions(COUNTS, 1, 2, window, 0, TOTAL)
    for start, stop in [(0, 3), (3, 9), (19, 21), (50, TOTAL), (5, 5)]:
        part = epoch_positions(COUNTS, 1, 2, window, start, stop)
        assert part.tolist() == whole[start:stop].tolist()


def test_epochs_and_seeds_differ():
    orders = {
        tuple(epoch_positions(COUNTS, seed, epoch, 20, 0, TOTAL))
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9


def test_windows_are_shuffled_anew_in_each_window_and_epoch():
    orders = {
        tuple(epoch_positions((60,), 0, epoch, 20, start, start + 20) - start)
        for epoch in range(3)
        for start in (0, 20, 40)
    }
    assert len(orders) == 9


def test_window_of_one_keeps_the_order_within_shards_and_permutes_shards():
    places = epoch_positions(COUNTS, 0, 0, 1, 0, TOTAL)
    shard_of = np.repeat(np.arange(len(COUNTS)), COUNTS)
    shards = shard_of[places]
    changes = np.flatnonzero(np.diff(shards))
    assert len(changes) == len(COUNTS) - 1
    assert all(np.diff(places)[i] == 1 for i in range(TOTAL - 1) if i not in changes)
    firsts = {tuple(shard_of[epoch_positions(COUNTS, 0, e, 1, 0, TOTAL)]) for e in range(8)}
    assert len(firsts) > 4


def test_windows_stay_near_few_shards():
    counts = (10,) * 20
    places = epoch_positions(counts, 0, 0, 20, 0, 200)
    for start in range(0, 200, 20):
        assert len(set(places[start : start + 20] // 10)) == 2


@pytest.mark.parametrize("world", [1, 2, 4])
def test_ranks_share_the_global_batch(world):
    size = 8 // world
    parts = [batch_places(3, size, rank, world) for rank in range(world)]
    assert parts[0][0] == 24
    assert parts[-1][1] == 32
    assert all(a[1] == b[0] for a, b in pairwise(parts))


def test_steps_drop_the_rest_and_refuse_too_few():
    assert steps_per_epoch(17, 4, 2) == 2
    with pytest.raises(InputError, match=r"7 samples.*takes 8.*: lower .*batch_size .* at most 7"):
        steps_per_epoch(7, 4, 2)


@pytest.mark.parametrize(
    ("count", "batch_size", "world", "mend", "followed"),
    [
        (5, 2, 8, "train on 2 devices at most", (2, 2)),
        (3, 4, 8, "train on 3 devices at most .* with data.init_args.batch_size 1", (1, 3)),
    ],
)
def test_fewer_samples_than_ranks_ask_for_fewer_devices(count, batch_size, world, mend, followed):
    with pytest.raises(InputError, match=rf"{count} samples .* devices\): {mend}"):
        steps_per_epoch(count, batch_size, world)
    assert steps_per_epoch(count, *followed) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16, 17])
@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 3, 16])
def test_evaluation_covers_all_and_ranks_agree(count, world, size):
    plans = [EvaluationPlan(count, size, rank=rank, world=world) for rank in range(world)]
    ranks = [[plan(0, step) for step in range(plan.steps)] for plan in plans]
    shapes = [[len(batch) for batch in batches] for batches in ranks]
    assert all(shape == shapes[0] for shape in shapes)
    share = -(-count // world)
    assert len(shapes[0]) == -(-share // size)
    seen = np.concatenate([batch for batches in ranks for batch in batches])
    assert set(seen) == set(range(count))
    for rank, batches in enumerate(ranks):
        own = np.concatenate(batches)
        assert len(own) == share
        fresh = own[: len(range(rank, count, world))]
        assert fresh.tolist() == list(range(rank, count, world))
        assert len(set(own[len(fresh) :])) <= 1
    if world == 1:
        assert seen.tolist() == list(range(count))
