"""Whole objects or one paragraph, whatever the server does, in bounded time."""

import hashlib
import io
import random
import socket

import fsspec
import pytest
from misbehaving import MENDABLE, at_most, folder, misbehaving

from data_modules import download as module
from data_modules.download import PROGRESS, Remote, download
from softmask.addresses import shown
from softmask.errors import InputError

SIZE = 200_000
DATA = random.Random(0).randbytes(SIZE)
HASH = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.002)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "x.tar").write_bytes(DATA)
    return folder(tmp_path)


def fetch(url, size=SIZE, sha256=HASH, *, retries=3, timeout=5.0, begun=b""):
    file = io.BytesIO(begun)
    download(Remote(url, size, sha256), file, retries=retries, timeout=timeout)
    return file.getvalue()


@pytest.mark.parametrize(
    ("fault", "known"),
    [(fault, True) for fault in MENDABLE]
    # Only an index can tell these two.
    + [(fault, False) for fault in MENDABLE if fault not in ("corrupt", "short_length")],
)
def test_one_fault_is_mended(root, fault, known):
    index = (SIZE, HASH) if known else (None, None)
    first = "cut" if fault in ("norange", "other_range") else fault

    def choose(_, number):
        return (first, fault if first == "cut" else None, None)[min(number, 2)]

    with misbehaving(root, choose) as server, at_most(5):
        assert fetch(f"{server.url}/x.tar", *index, timeout=0.5) == DATA
        assert server.faults[fault] >= 1


@pytest.mark.parametrize("fault", MENDABLE)
def test_a_fault_that_stays_ends_in_bounded_time(root, fault):
    if fault == "norange":
        return  # no fault for a server that never breaks
    with misbehaving(root, lambda path, number: fault) as server, at_most(15):
        url = f"{server.url}/x.tar"
        if fault in ("reset", "cut", "short_length"):
            # Half of the rest comes each time: too little to count as progress.
            with pytest.raises(InputError, match="4 tries"):
                fetch(url, timeout=0.4)
        elif fault in ("long_length", "other_range"):
            assert (
                fetch(url, timeout=0.4) == DATA
            )  # the index knows better; nothing had to be continued
        else:
            with pytest.raises(InputError, match=r"x\.tar cannot be fetched after 4 tries \(.+\)"):
                fetch(url, timeout=0.4)


@pytest.mark.parametrize("seed", range(12))
def test_random_faults_give_the_bytes_or_an_error(root, seed):
    rng = random.Random(seed)
    with (
        misbehaving(root, lambda *_: rng.choice([*MENDABLE, None, None])) as server,
        at_most(20),
    ):
        try:
            assert fetch(f"{server.url}/x.tar", retries=6, timeout=0.2) == DATA
        except InputError as error:
            assert "after" in str(error)  # noqa: PT017 (either end is right)


def test_what_came_is_not_fetched_again(root):
    with misbehaving(root, lambda path, number: "cut" if number < 3 else None) as server:
        assert fetch(f"{server.url}/x.tar") == DATA
        assert server.sent["/x.tar"] == SIZE
        ranges = [headers.get("Range") for _, headers in server.seen]
        assert ranges == [None, "bytes=100000-", "bytes=150000-", "bytes=175000-"]


def test_what_an_earlier_process_left_is_continued_or_thrown_away(root):
    with misbehaving(root) as server:
        assert fetch(f"{server.url}/x.tar", begun=DATA[:150_000]) == DATA
        assert server.sent["/x.tar"] == 50_000
        assert fetch(f"{server.url}/x.tar", begun=b"x" * 150_000) == DATA
        assert fetch(f"{server.url}/x.tar", begun=b"x" * 300_000) == DATA


def test_progress_starts_the_count_anew(tmp_path):
    data = random.Random(1).randbytes(16 * PROGRESS)
    (tmp_path / "big.tar").write_bytes(data)
    with misbehaving(
        folder(tmp_path), lambda path, number: "cut" if number < 4 else None
    ) as server:
        assert fetch(f"{server.url}/big.tar", len(data), None, retries=1) == data
        assert server.requests["/big.tar"] == 5


def test_another_object_under_the_same_name_is_not_appended(tmp_path):
    root, other = folder(tmp_path), bytes(reversed(DATA))
    (tmp_path / "x.tar").write_bytes(DATA)

    def choose(_, number):
        if number:
            (tmp_path / "x.tar").write_bytes(other)
        return None if number else "cut"

    with misbehaving(root, choose) as server:
        assert fetch(f"{server.url}/x.tar", None, None) == other


@pytest.mark.parametrize("fault", ["404", "403"])
def test_what_no_try_mends_ends_at_once(root, fault):
    with misbehaving(root, lambda path, number: fault) as server:
        with pytest.raises(InputError, match=rf"after 1 try \(HTTP {fault} .*credentials"):
            fetch(f"{server.url}/x.tar")
        assert server.requests["/x.tar"] == 1


@pytest.mark.parametrize(("size", "says"), [(7, "but its index says 7"), (10**6, "HTTP 416")])
def test_a_size_that_is_not_the_index_s(root, size, says):
    with misbehaving(root) as server, pytest.raises(InputError, match=says):
        fetch(f"{server.url}/x.tar", size)


def test_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(InputError, match=r"after 4 tries \(.*[Cc]onnection refused"):
        fetch(f"http://127.0.0.1:{port}/x.tar")


@pytest.mark.parametrize("url", ["http://..no/x.tar", "http://a:port/x.tar", "http:///x.tar"])
def test_no_address(url):
    with pytest.raises(InputError, match="cannot be fetched"):
        fetch(url, retries=0)


def test_credentials_reach_the_server_and_no_message(root):
    with misbehaving(root, lambda path, number: "404" if "sig" in path else None) as server:
        host = server.url.removeprefix("http://")
        assert fetch(f"http://zoe:pa%20ss@{host}/x.tar") == DATA
        assert server.seen[0][1]["Authorization"] == "Basic em9lOnBhIHNz"
        url = f"http://zoe:pa%20ss@{host}/x.tar?sig=abc123"
        assert shown(url) == f"http://{host}/x.tar?..."
        assert shown("/data/a#b?c@d") == "/data/a#b?c@d"
        assert shown("pipe:KEY=abc123 fetch x.tar") == "pipe: ..."
        with pytest.raises(InputError) as raised:
            fetch(url)
        assert raised.value.__cause__ is None
        assert not any(word in str(raised.value) for word in ("zoe", "pa%20ss", "pa ss", "abc123"))
    with pytest.raises(InputError) as raised:
        fetch("pipe:false --token=abc123", retries=0)
    assert "abc123" not in str(raised.value)


@pytest.fixture
def bucket():
    """Objects of fsspec's own store in memory, whose reads fail as a test says."""
    system = fsspec.filesystem("memory")
    system.pipe("/bucket/x.tar", DATA)
    yield system
    system.rm("/bucket", recursive=True)


def test_object_stores_are_read_by_parts_and_continued(bucket, monkeypatch):
    monkeypatch.setattr("data_modules.transports.PART", 30_000)
    whole, asked = type(bucket).cat_file, []

    def cat_file(self, path, start=None, end=None, **_):
        asked.append((start, end))
        if len(asked) % 3 == 0:
            raise [ConnectionResetError("gone"), ValueError("odd"), TimeoutError()][len(asked) % 2]
        data = whole(self, path, start=start, end=end)
        return data[: len(data) // 2] if len(asked) % 3 == 1 else data

    monkeypatch.setattr(type(bucket), "cat_file", cat_file)
    assert fetch("memory://bucket/x.tar", None, HASH, retries=4) == DATA
    assert len(asked) > 8


def test_object_stores_that_fail(bucket, monkeypatch):
    with pytest.raises(InputError, match=r"after 1 try \(FileNotFoundError"):
        fetch("memory://bucket/y.tar", None)
    monkeypatch.setattr(type(bucket), "cat_file", lambda *_, **__: b"")
    with pytest.raises(InputError, match=r"after 4 tries \(the body ended at byte 0 of 200000"):
        fetch("memory://bucket/x.tar")


def test_an_object_store_that_ignores_ranges(bucket, monkeypatch):
    monkeypatch.setattr("data_modules.transports.PART", 30_000)
    monkeypatch.setattr(type(bucket), "cat_file", lambda *_, **__: DATA)
    with pytest.raises(InputError, match="more than the range asked for"):
        fetch("memory://bucket/x.tar", None, None)


def test_a_store_that_fsspec_does_not_know():
    with pytest.raises(InputError, match=r"after 1 try .*nosuch"):
        fetch("nosuch://bucket/x.tar")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("printf abc; exit 3", "ended with 3"),
        ("printf abc; sleep 60", "wrote nothing in 0.4 seconds"),
    ],
)
def test_commands_that_fail(tmp_path, command, says):
    with open(tmp_path / "x", "w+b") as file, at_most(5), pytest.raises(InputError, match=says):
        download(Remote(f"pipe:{command}"), file, retries=1, timeout=0.4)


def test_a_command_s_output_replaces_what_was_there(tmp_path):
    with open(tmp_path / "x", "w+b") as file:
        file.write(b"old bytes")
        download(Remote("pipe:printf abc | tr a-c d-f", 3), file, retries=1, timeout=5)
    assert (tmp_path / "x").read_bytes() == b"def"
