"""Shards that come before they are needed: in order, within the cache, and without a trace."""

import pickle
import threading
import time
from itertools import pairwise

import pytest
from fake import write_fake_pairs
from misbehaving import at_most, folder, misbehaving

from data_modules import PretrainData, ahead, download
from data_modules.ahead import Ahead
from data_modules.order import TrainPlan
from data_modules.shards import ShardSet
from data_modules.store import StoreOptions

COUNT, SHARD = 48, 4


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(download, "LONGEST_PAUSE", 0.002)


@pytest.fixture
def data(tmp_path):
    write_fake_pairs(tmp_path / "data", COUNT, shard_size=SHARD)
    return tmp_path / "data"


def loader(data, url, cache, *, workers=0, shards=100.0, **store):
    size = max(file.stat().st_size for file in data.glob("*.tar"))
    options = StoreOptions(cache_dir=str(cache), cache_gb=shards * size / 1e9, **store)
    module = PretrainData(
        f"{url}/data", image_size=16, batch_size=4, workers=workers, window=8, store=options
    )
    return module.train_dataloader()


def fetched(server):
    """Shards that were asked for, in order."""
    return [path for path, _ in server.seen if path.endswith(".tar")]


def settled(look, seconds=10.0):
    """What does not change for a while."""
    end, last, since = time.monotonic() + seconds, look(), time.monotonic()
    while time.monotonic() < end and time.monotonic() - since < 0.3:
        time.sleep(0.02)
        if (now := look()) != last:
            last, since = now, time.monotonic()
    return last


def test_upcoming_shards_are_those_of_two_windows_by_their_first_need(data):
    shards = ShardSet(str(data))
    plan = TrainPlan(shards.counts, 4, rank=0, world=1, seed=0, window=8)
    own = Ahead(shards, plan)
    endless = [int(at) // SHARD for epoch in (2, 3) for at in plan.positions(epoch, 0, COUNT)]
    for place in range(0, COUNT, 4):
        assert own.upcoming(2, place) == list(dict.fromkeys(endless[place : place + 16]))


@pytest.mark.parametrize("workers", [0, 2])
def test_one_batch_brings_two_windows(data, tmp_path, workers):
    with misbehaving(folder(tmp_path), lambda _, n: "cut" if n == 0 else None) as server:
        made = loader(data, server.url, tmp_path / "cache", workers=workers, retries=3)
        batches = iter(made)
        first = next(batches)["position"]
        asked = settled(lambda: len(set(fetched(server))))
        # Two windows of 8 places touch four shards or more, all twelve are three times as many;
        # workers prepare four batches each and so read further.
        assert 4 <= asked <= (6 if workers == 0 else COUNT // SHARD)
        rest = [batch["position"] for batch in batches]
        made.close()
        positions = [int(at) for batch in (first, *rest) for at in batch]
        assert sorted(positions) == list(range(COUNT))
        paths = fetched(server)
        assert max(paths.count(path) for path in set(paths)) == 2, "the cut one, and the rest"


def test_shards_come_before_the_reader_asks(data, tmp_path):
    """A reader that rests finds all of its next window."""
    with misbehaving(folder(tmp_path)) as server:
        made = loader(data, server.url, tmp_path / "cache")
        batches = iter(made)
        next(batches)
        before = settled(lambda: len(fetched(server)))
        next(batches)
        assert len(fetched(server)) == before
        made.close()


@pytest.mark.parametrize("size", [2.5, 4.5])
def test_the_cache_stays_within_its_size(data, tmp_path, size):
    most = size * max(file.stat().st_size for file in data.glob("*.tar"))
    cache = tmp_path / "cache"
    with misbehaving(folder(tmp_path)) as server:
        made = loader(data, server.url, cache, shards=size)
        for epoch in range(2):
            for _ in made:
                time.sleep(0.03)
                kept = sum(file.stat().st_size for file in cache.glob("*.tar"))
                assert kept <= most, epoch
        made.close()


def test_what_never_comes_stops_nobody_but_its_reader(data, tmp_path):
    """A shard that fails is left to the reader; a thread that waits for it ends when told."""
    with misbehaving(folder(tmp_path)) as server:
        made = loader(data, server.url, tmp_path / "cache", retries=0)
        order = made._ahead.upcoming(0, 0)
        bad = f"/data/{order[1]:05d}.tar"
        server.choose = lambda path, _: "500" if path == bad else None
        made._ahead.reach(0, 0)
        asked = settled(lambda: fetched(server))
        assert asked == [f"/data/{number:05d}.tar" for number in order]
        made.close()


def running():
    return [thread for thread in threading.enumerate() if thread.name == "shards ahead"]


@pytest.mark.parametrize("fault", ["stall", "drip", "silent"])
def test_it_ends_in_the_middle_of_a_shard(data, tmp_path, monkeypatch, fault):
    monkeypatch.setattr(ahead, "PATIENCE", 3.0)
    with misbehaving(folder(tmp_path)) as server:
        made = loader(data, server.url, tmp_path / "cache", timeout=0.5, retries=1000)
        server.choose = lambda _path, _n: fault
        made._ahead.reach(0, 0)
        settled(lambda: len(fetched(server)) > 0, seconds=1)
        assert len(running()) == 1
        with at_most(4):
            made.close()
        assert running() == []
        server.choose = lambda _path, _n: None
        assert len(list(made)) == COUNT // 4, "nothing is left locked"
        made.close()


def test_only_the_first_worker_looks_and_only_now_and_then(data, monkeypatch):
    shards = ShardSet(str(data))
    plan = TrainPlan(shards.counts, 4, rank=0, world=1, seed=0, window=32)
    own = Ahead(shards, plan)
    looked = []
    monkeypatch.setattr(own, "_run", lambda: looked.append(own._place))
    marks = []
    for step in range(12):
        own.reach(0, step)
        marks.append(own._mark)
    assert sum(a != b for a, b in pairwise(marks)) == COUNT * 4 // 32 - 1
    monkeypatch.setattr(ahead, "get_worker_info", lambda: type("Info", (), {"id": 1}))
    own.close()
    own.reach(1, 0)
    assert own._thread is None
    assert pickle.loads(pickle.dumps(own))._thread is None


def test_local_data_needs_nothing_ahead(data):
    made = PretrainData(str(data), image_size=16, batch_size=4, workers=0).train_dataloader()
    assert made._ahead is None
