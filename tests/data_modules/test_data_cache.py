"""A cache that processes share: one download, nothing in use deleted, never too large."""

import multiprocessing
import os
import signal
import time

import pytest
from misbehaving import at_most

from data_modules.cache import Cache
from data_modules.download import Remote
from softmask.errors import InputError

SIZE = 1000


def new(shards=1):
    """A shard that was never there, as large as so many."""
    return Remote("http://x/new.tar", shards * SIZE)


def remote(number):
    return Remote(f"http://x/{number}.tar", SIZE)


class Fill:
    """Writes a shard slowly and notes each download in a file."""

    def __init__(self, log, seconds=0.0):
        self.log, self.seconds = log, seconds

    def __call__(self, remote, file):
        with self.log.open("a") as log:
            log.write(f"{remote.url}\n")
        file.write(b"x" * (SIZE // 2))
        file.flush()
        time.sleep(self.seconds)
        file.write(b"y" * (SIZE - SIZE // 2))

    def count(self):
        return len(self.log.read_text().splitlines())


@pytest.fixture
def fill(tmp_path):
    return Fill(tmp_path / "log")


def cache(tmp_path, fill, shards=3):
    return Cache(tmp_path / "cache", shards * SIZE, fill)


def stored(tmp_path):
    return sum(file.stat().st_size for file in (tmp_path / "cache").iterdir())


def test_a_shard_is_fetched_once(tmp_path, fill):
    own = cache(tmp_path, fill)
    for _ in range(3):
        lease = own.lease(remote(0))
        assert lease.file.read_bytes() == b"x" * 500 + b"y" * 500
        lease.release()
    assert fill.count() == 1
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_equal_content_is_kept_once_and_other_addresses_apart(tmp_path, fill):
    own = cache(tmp_path, fill)
    files = {own.lease(Remote(f"http://x/a?sig={n}", SIZE, "a" * 64)).file for n in range(3)}
    assert len(files) == 1
    assert len({own.lease(remote(n)).file for n in range(3)}) == 3


def test_the_least_recently_used_leave_and_none_in_use(tmp_path, fill):
    own = cache(tmp_path, fill)
    leases = [own.lease(remote(number)) for number in range(3)]
    for lease in leases[1:]:
        lease.release()
    own.lease(remote(1)).release()  # used after 2
    assert own.make_room(new())
    assert [lease.file.exists() for lease in leases] == [True, True, False]
    assert own.make_room(new(2))
    assert [lease.file.exists() for lease in leases] == [True, False, False]
    assert not own.make_room(new(3))
    assert leases[0].file.exists()
    leases[0].release()
    assert own.make_room(new(3))
    assert not leases[0].file.exists()


def test_a_lease_that_nobody_holds_ends(tmp_path, fill):
    own = cache(tmp_path, fill)
    file = own.lease(remote(0)).file
    assert own.make_room(new(3))
    assert not file.exists()


def test_a_file_of_another_size_is_fetched_anew(tmp_path, fill):
    own = cache(tmp_path, fill)
    lease = own.lease(remote(0))
    lease.file.write_bytes(b"short")
    lease.release()
    assert own.lease(remote(0)).file.stat().st_size == SIZE


def test_a_shard_larger_than_the_cache(tmp_path, fill):
    for size in (SIZE, None):
        own = Cache(tmp_path / "cache", SIZE - 1, fill)
        with pytest.raises(InputError, match=r"1\.tar takes 1e-06 GB .*cache_gb"):
            own.lease(Remote("http://x/1.tar", size))
        assert stored(tmp_path) == 0


def test_a_folder_that_cannot_be_used(tmp_path, fill):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InputError, match=r"cache cannot be used .*cache_dir"):
        cache(tmp_path, fill).lease(remote(0))


def test_a_full_disk_is_named(tmp_path):
    def full(_remote, _file):
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"No space left.*cache_dir"):
        cache(tmp_path, full).lease(remote(0))


def _lease_all(own, numbers, results):
    good = True
    for number in numbers:
        own.make_room(remote(number))
        lease = own.lease(remote(number))
        good &= lease.file.read_bytes() == b"x" * 500 + b"y" * 500
        lease.release()
    results.put(good)


def run(target, argument_lists):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=target, args=args) for args in argument_lists]
    for process in processes:
        process.start()
    return processes


def test_processes_that_want_the_same_fetch_it_once(tmp_path):
    fill = Fill(tmp_path / "log", 0.1)
    results = multiprocessing.get_context("fork").Queue()
    own = cache(tmp_path, fill, shards=4)
    with at_most(10):
        processes = run(_lease_all, [(own, [n % 4, (n + 1) % 4], results) for n in range(6)])
        assert all(results.get(timeout=10) for _ in processes)
    assert fill.count() == 4


def test_many_processes_in_a_small_cache(tmp_path):
    fill = Fill(tmp_path / "log")
    results = multiprocessing.get_context("fork").Queue()
    own = cache(tmp_path, fill, shards=2)
    orders = [[(n * 7 + k * 5) % 8 for k in range(60)] for n in range(4)]
    with at_most(30):
        processes = run(_lease_all, [(own, order, results) for order in orders])
        ends = [results.get(timeout=30) for _ in processes]
    assert all(ends)
    assert own.make_room(remote(0))
    assert stored(tmp_path) <= 2 * SIZE


def test_a_killed_download_is_taken_over(tmp_path):
    slow, fill = Fill(tmp_path / "slow", 60), Fill(tmp_path / "log")
    results = multiprocessing.get_context("fork").Queue()
    (process,) = run(_lease_all, [(cache(tmp_path, slow), [0], results)])
    with at_most(10):
        while not list((tmp_path / "cache").glob("*.partial")):
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        own = cache(tmp_path, fill)
        lease = own.lease(remote(0))
    assert lease.file.read_bytes() == b"x" * 500 + b"y" * 500


def test_a_dead_process_s_rest_leaves_and_a_live_one_s_stays(tmp_path, fill):
    own = cache(tmp_path, fill)
    own.lease(remote(0)).release()
    rest = tmp_path / "cache" / "0123.partial"
    rest.write_bytes(b"x" * 2 * SIZE)
    assert own.make_room(new(2))
    assert not rest.exists()
    slow = Fill(tmp_path / "slow", 60)
    (process,) = run(_lease_all, [(cache(tmp_path, slow), [5], None)])
    try:
        with at_most(10):
            while not any(f.stat().st_size for f in (tmp_path / "cache").glob("*.partial")):
                time.sleep(0.01)
        assert not own.make_room(new(3))
        assert list((tmp_path / "cache").glob("*.partial"))
    finally:
        process.kill()
        process.join()


def test_a_failed_fetch_holds_no_lock_while_its_error_is_kept(tmp_path):
    def fail(_remote, file):
        file.write(b"x")
        raise InputError("gone")

    own = cache(tmp_path, fail)
    with pytest.raises(InputError, match="gone") as kept:
        own.lease(remote(0))
    assert own.make_room(new(3)), "the rest of the failed fetch is locked"
    assert kept.value.__traceback__ is not None


def test_a_rest_without_a_hash_is_not_continued(tmp_path, fill):
    own, unknown = cache(tmp_path, fill), Remote("http://x/unknown.tar")
    (tmp_path / "cache").mkdir()
    own._file(unknown).with_suffix(".partial").write_bytes(b"of who knows what")
    assert own.lease(unknown).file.read_bytes() == b"x" * 500 + b"y" * 500


def test_a_fork_does_not_keep_what_its_parent_lets_go(tmp_path, fill):
    kept = cache(tmp_path, fill, shards=1)
    lease = kept.lease(remote(1))
    context = multiprocessing.get_context("fork")
    runs = context.Event()
    child = context.Process(target=lambda: (runs.set(), time.sleep(60)))
    child.start()
    try:
        assert runs.wait(30)
        assert not kept.make_room(remote(2))  # the parent reads it still
        lease.release()
        assert kept.make_room(remote(2))
        assert child.is_alive()
    finally:
        child.kill()
        child.join()
