"""Mixtures: shares, coverage, topology, turns; compared with plain loops."""

import random
from collections import Counter

import numpy as np
import program
import pytest
import yaml
from fake import fake_pairs, write_fake_pairs

from data_modules import PretrainData
from data_modules.mixture import MixedPlan, Source, weave
from data_modules.order import TrainPlan
from data_modules.seeds import hash63
from data_modules.shards import ShardSet
from data_modules.write import write_shards
from softmask.errors import InputError


def draw_case(number):
    """Sources, weights, a global batch with many divisors, and a window, drawn anew."""
    rng = random.Random(number)
    sources = [
        tuple(rng.randint(1, 12) for _ in range(rng.randint(1, 6)))
        for _ in range(rng.randint(1, 4))
    ]
    weights = [rng.choice([0.05, 0.3, 0.5, 1.0, 1.0, 1.7, 2.0, 3.5]) for _ in sources]
    return sources, weights, rng.choice([1, 3, 10, 1000]), rng.randint(0, 5)


def mixed(case, size=1, *, rank=0, world=1):
    sources, weights, window, seed = case
    return MixedPlan(sources, weights, size, rank=rank, world=world, seed=seed, window=window)


def source_of(sources, position):
    ends = np.cumsum([sum(counts) for counts in sources])
    return int(np.searchsorted(ends, position % ends[-1], side="right"))


CASES = [draw_case(number) for number in range(40)]


@pytest.mark.parametrize("takes", [(1,), (5, 5), (1, 7, 2), (100, 1), (3, 3, 3, 11), (40, 13)])
def test_weave_shares_every_stretch(takes):
    total = sum(takes)
    labels, ranks = weave(np.arange(total), takes)
    for source, take in enumerate(takes):
        own = labels == source
        assert ranks[own].tolist() == list(range(take))
        before = np.concatenate([[0], np.cumsum(own)])
        ideal = np.arange(total + 1) * take / total
        assert np.abs(before - ideal).max() < len(takes)
    for start, stop in [(0, 0), (1, total), (total // 2, total // 2 + 1)]:
        part = weave(np.arange(start, stop), takes)
        assert part[0].tolist() == labels[start:stop].tolist()
        assert part[1].tolist() == ranks[start:stop].tolist()


@pytest.mark.parametrize("case", CASES)
def test_each_epoch_takes_the_stated_number_of_each_source(case):
    sources, weights, *_ = case
    plan = mixed(case)
    for epoch in range(4):
        found = Counter(source_of(sources, p) for p in plan.positions(epoch, 0, plan.length))
        for source, (counts, weight) in enumerate(zip(sources, weights, strict=True)):
            assert abs(found[source] - weight * sum(counts)) <= 0.5 or found[source] == 1


@pytest.mark.parametrize("case", CASES)
def test_no_sample_comes_twice_more_than_another_of_its_source(case):
    sources = case[0]
    plan = mixed(case)
    total = sum(plan.sizes)
    seen = np.zeros(total, dtype=int)
    for epoch in range(6):
        for position in plan.positions(epoch, 0, plan.length):
            seen[position % total] += 1
        for source in range(len(sources)):
            start = sum(plan.sizes[:source])
            own = seen[start : start + plan.sizes[source]]
            assert own.max() - own.min() <= 1
            assert own.sum() == (epoch + 1) * plan.takes[source]


@pytest.mark.parametrize("case", CASES)
def test_a_part_is_what_the_whole_says(case):
    plan = mixed(case)
    rng = random.Random(1)
    for epoch in (0, 3):
        whole = plan.positions(epoch, 0, plan.length)
        assert len(set(whole.tolist())) == plan.length, "a repeated sample has another turn"
        for _ in range(5):
            start, stop = sorted(rng.randint(0, plan.length) for _ in range(2))
            assert plan.positions(epoch, start, stop).tolist() == whole[start:stop].tolist()


@pytest.mark.parametrize("case", CASES[:10])
@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_the_global_batches(case, world):
    sources, weights, window, seed = case
    case = [(*counts, 8) for counts in sources], [max(w, 1) for w in weights], window, seed
    whole = mixed(case, 8)
    parts = [mixed(case, 8 // world, rank=rank, world=world) for rank in range(world)]
    assert {part.steps for part in parts} == {whole.steps}
    for epoch in range(2):
        for step in range(whole.steps):
            joined = np.concatenate([part(epoch, step) for part in parts])
            assert joined.tolist() == whole(epoch, step).tolist()


def test_one_source_of_weight_1_has_the_order_that_it_has_alone():
    counts = (7, 1, 12, 5)
    options = {"rank": 0, "world": 1, "seed": 3, "window": 6}
    alone, one = TrainPlan(counts, 4, **options), MixedPlan([counts], [1.0], 4, **options)
    assert one.steps == alone.steps
    for epoch in range(3):
        for step in range(alone.steps):
            assert one(epoch, step).tolist() == alone(epoch, step).tolist()


def test_half_a_weight_covers_in_two_epochs_and_double_repeats_in_one():
    plan = MixedPlan([(10, 10), (6,)], [0.5, 2.0], 1, rank=0, world=1, seed=0, window=5)
    first, second = (plan.positions(epoch, 0, plan.length) for epoch in range(2))
    halves = [{int(p) for p in one if p % 26 < 20} for one in (first, second)]
    assert [len(half) for half in halves] == [10, 10]
    assert halves[0] | halves[1] == set(range(20))
    assert Counter(int(p) % 26 for p in first if p % 26 >= 20) == dict.fromkeys(range(20, 26), 2)
    assert sorted(p // 26 for p in first if p % 26 >= 20) == [0] * 6 + [1] * 6


def test_sources_epochs_and_seeds_have_orders_of_their_own():
    def orders(seed, epoch):
        plan = MixedPlan([(30,), (30,)], [1, 1], 1, rank=0, world=1, seed=seed, window=30)
        whole = plan.positions(epoch, 0, 60)
        return [tuple(whole[whole < 30]), tuple(whole[whole >= 30] - 30)]

    assert len({order for s in range(3) for e in range(3) for order in orders(s, e)}) == 18


def test_a_set_of_several_paths_reads_them_in_their_order(tmp_path):
    paths = [write_fake_pairs(tmp_path / str(n), 5 + n, seed=n, shard_size=4) for n in range(2)]
    both, single = ShardSet([Source(path) for path in paths]), [ShardSet(path) for path in paths]
    assert both.sources == ((4, 1), (4, 2))
    for position in range(11):
        own = single[0].read(position) if position < 5 else single[1].read(position - 5)
        own = own._replace(position=position, source=int(position >= 5))
        assert both.read(position) == own
        again = both.read(position + 2 * 11)
        assert again == own._replace(turn=2)
        assert again.draws != own.draws == own.key


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_weights_that_cannot_work(weight):
    with pytest.raises(InputError, match=r"weight of the source 'a' is .*above 0"):
        Source("a", weight)


def test_the_program_takes_a_mixture_and_a_store(corpus, tmp_path):
    mixture = f"[{{path: {corpus}/train, weight: 0.5}}, {{path: {corpus}/val}}]"
    flags = ["--data.init_args.train", mixture, "--data.init_args.store.retries", "1"]
    ended = program.here([*program.arguments("fit", corpus, tmp_path), *flags])
    assert ended.code == 0, ended.err
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["data"]["init_args"]
    assert [source["weight"] for source in saved["train"]] == [0.5, 1.0]
    assert saved["store"]["retries"] == 1
    wrong = [*flags, "--data.init_args.store.timeout", "0"]
    ended = program.here([*program.arguments("fit", corpus, tmp_path), *wrong])
    assert ended.code in (1, 2)
    assert "store.timeout is 0" in ended.err


def test_a_name_is_another_picture_in_another_source_and_null_is_no_name(tmp_path):
    names = ["00001.jpg", 0, None, "", None, "00001.jpg"]
    for folder, seed in (("a", 0), ("b", 1)):
        pairs = [
            pair._replace(meta={"image_id": name})
            for pair, name in zip(fake_pairs(6, seed), names, strict=True)
        ]
        write_shards(pairs, tmp_path / folder, shard_size=4)

    def ids(*folders):
        sources = [Source(str(tmp_path / folder)) for folder in folders]
        data = PretrainData(sources, image_size=16, batch_size=6 * len(sources), workers=0)
        (batch,) = data.train_dataloader()
        found = zip(batch["position"].tolist(), batch["image_id"].tolist(), strict=True)
        return [number for _, number in sorted(found)]

    assert ids("a")[:2] == [hash63("00001.jpg"), hash63("0")]
    both = ids("a", "b")
    assert both[:6] == ids("a")  # the first source keeps its numbers
    assert both[0] == both[5] != both[6] == both[11]
    assert len(set(both)) == 10


def test_a_checkpoint_knows_its_mixture(tmp_path):
    paths = [write_fake_pairs(tmp_path / str(n), 8, seed=n, shard_size=4) for n in range(2)]

    def hash_of(*weights):
        sources = [Source(path, weight) for path, weight in zip(paths, weights, strict=False)]
        return ShardSet(sources).hash

    assert hash_of(1.0) == ShardSet(paths[0]).hash
    assert len({hash_of(1.0, 1.0), hash_of(1.0, 0.5), hash_of(0.5, 1.0), hash_of(1.0)}) == 4
