"""Which sample stands for a bad one, and when too many are bad."""

import pytest
from fake import write_fake_pairs

from data_modules.reasons import BadSample, Reason
from data_modules.replace import NEAR, TRIES, Refusing, Replacing
from data_modules.shards import ShardSet
from softmask.drops import FEWEST, Drop, Tally
from softmask.errors import InputError

COUNT, SIZE = 43, 10


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return ShardSet(write_fake_pairs(tmp_path_factory.mktemp("data"), COUNT, shard_size=SIZE))


def bad_at(*positions, reason=Reason.EMPTY_PICTURE):
    def item(sample, epoch):
        if sample.position in positions:
            raise BadSample(reason, f"is empty in epoch {epoch}")
        return sample.position

    return item


def one(fetch, position, epoch, step):
    (fetched,) = fetch([position], epoch, step)
    return fetched


def test_good_samples_stay(shards):
    fetch = Replacing(shards, [bad_at()], 0)
    assert fetch(range(COUNT), 0, 0) == [(n, None) for n in range(COUNT)]


def test_a_batch_takes_one_step_after_the_other(shards):
    calls = []

    def first(sample, epoch):
        calls.append(("first", sample.position, epoch))
        return sample.position

    def second(position, epoch):
        calls.append(("second", position, epoch))
        return -position

    fetched = Replacing(shards, [first, second], 0)([3, 1, 2], 7, 0)
    assert calls == [(step, n, 7) for step in ("first", "second") for n in (3, 1, 2)]
    assert fetched == [(-3, None), (-1, None), (-2, None)]


def test_what_fails_late_is_replaced_as_what_fails_early(shards):
    """Samples that fail early, late and not at all, in one batch: each keeps its own place."""
    early, late = bad_at(12, 20), bad_at(13, 21)

    def first(sample, epoch):
        early(sample, epoch)
        return sample

    places = [12, 13, 14, 20, 21, 22]
    fetched = Replacing(shards, [first, late], 0)(places, 0, 0)
    expected = Replacing(shards, [bad_at(12, 13, 20, 21)], 0)
    assert fetched == [one(expected, place, 0, 0) for place in places]
    assert [each.drop and each.drop.position for each in fetched] == [12, 13, None, 20, 21, None]


def test_a_substitute_that_fails_later_gives_way_to_the_next(shards):
    """The first substitute passes one step alone; what is counted is the sample's own fault."""
    chosen = Replacing(shards, [bad_at()], 0)
    substitute, next_one = (chosen.substitute(12, 0, attempt) for attempt in (1, 2))
    assert len({12, substitute, next_one}) == 3

    def first(sample, epoch):
        bad_at(12)(sample, epoch)
        return sample

    second = bad_at(substitute, reason=Reason.CORRUPT_PICTURE)
    fetched = one(Replacing(shards, [first, second], 0), 12, 0, 0)
    assert fetched.item == next_one
    assert (fetched.drop.position, fetched.drop.reason) == (12, "empty_picture")


def test_a_bad_sample_gives_its_place_and_is_named(shards):
    fetched = one(Replacing(shards, [bad_at(12)], 0), 12, 3, 4)
    assert fetched.item != 12
    assert 10 <= fetched.item < 20
    sample = shards.read(12)
    place = (3, 4, 12, sample.shard, sample.key)
    assert fetched.drop == Drop(*place, "empty_picture", "is empty in epoch 3")


def test_a_bad_substitute_is_not_counted_twice(shards):
    first = one(Replacing(shards, [bad_at(12)], 0), 12, 0, 0).item
    fetched = one(Replacing(shards, [bad_at(12, first)], 0), 12, 0, 0)
    assert fetched.item not in (12, first)
    assert fetched.drop.position == 12


def test_substitutes_are_near_then_anywhere_and_depend_on_the_place_alone(shards):
    fetch = Replacing(shards, [bad_at()], 0)
    again = Replacing(shards, [bad_at()], 0)
    for position in range(COUNT):
        start = position // SIZE * SIZE
        tried = [fetch.substitute(position, 1, attempt) for attempt in range(TRIES)]
        assert tried == [again.substitute(position, 1, attempt) for attempt in range(TRIES)]
        assert tried[0] == position
        assert all(start <= one < min(start + SIZE, COUNT) for one in tried[: NEAR + 1])
        assert any(one // SIZE * SIZE != start for one in tried[NEAR + 1 :])
        assert all(0 <= one < COUNT for one in tried)
    # One for all would be seen again and again.
    assert len({fetch.substitute(position, 1, 1) for position in range(SIZE)}) > SIZE // 2 - 1


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}])
def test_another_seed_or_epoch_chooses_others(shards, other):
    def all_of(seed=0, epoch=0):
        fetch = Replacing(shards, [bad_at()], seed)
        return [fetch.substitute(position, epoch, 1) for position in range(COUNT)]

    assert all_of() != all_of(**other)


def test_a_later_turn_of_a_mixture_keeps_its_turn(shards):
    fetch = Replacing(shards, [bad_at()], 0)
    near = [fetch.substitute(2 * COUNT + 12, 0, attempt) for attempt in range(1, NEAR + 1)]
    assert all(2 * COUNT + 10 <= one < 2 * COUNT + 20 for one in near)


def test_tries_are_bounded(shards):
    calls = []

    def item(sample, _epoch):
        calls.append(sample.position)
        raise BadSample(Reason.EMPTY_PICTURE, "is empty")

    with pytest.raises(InputError, match=r"16 samples in a row.*'0-00012'.*empty_picture.*check"):
        Replacing(shards, [item], 0)([12], 0, 0)
    assert len(calls) == TRIES


def test_evaluation_refuses(shards):
    fetch = Refusing(shards, [bad_at(3)])
    assert fetch([2], 0, 0) == [(2, None)]
    with pytest.raises(InputError, match=r"'0-00003' of .*00000\.tar is empty.*\(empty_picture\)"):
        fetch([2, 3], 0, 0)


def drops(count, reason="bad_utf8"):
    return [Drop(0, 0, 0, "s", "k", reason, "")] * count


def test_a_share_is_judged_from_enough_samples():
    tally = Tally(0.01)
    tally.add(FEWEST - 1, drops(30))
    tally.check(False)
    with pytest.raises(InputError, match=r"30 of 999.*bad_utf8 30 \(3\.00%\)"):
        tally.check(True)
    tally.add(1, [])
    with pytest.raises(InputError, match=r"30 of 1000"):
        tally.check(False)


def test_the_limit_itself_passes():
    tally = Tally(0.01)
    tally.add(1000, drops(10))
    tally.check(True)
    tally.add(0, drops(1, "link"))
    with pytest.raises(InputError, match=r"bad_utf8 10 \(1\.00%\) \| link 1 \(0\.10%\)"):
        tally.check(True)


def test_a_tally_goes_on():
    first, second = Tally(), Tally()
    first.add(8, [*drops(2), *drops(1, "link")])
    assert first.state_dict() == {"read": 8, "bad_utf8": 2, "link": 1}
    second.load_state_dict(first.state_dict())
    second.add(8, drops(1))
    assert second.state_dict() == {"read": 16, "bad_utf8": 3, "link": 1}
    assert len(first.take()) == 3
    assert first.take() == []
    assert len(second.take()) == 1
