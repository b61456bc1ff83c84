"""Shards elsewhere give the samples that they give here, whatever the path, or one paragraph."""

import hashlib
import json
import random
import shutil
import tarfile

import pytest
import torch
from fake import write_fake_pairs
from misbehaving import MENDABLE, at_most, folder, misbehaving

from data_modules import PretrainData, download
from data_modules.mixture import Source
from data_modules.shards import ShardSet
from data_modules.store import Store, StoreOptions, is_remote
from softmask.errors import InputError

COUNT = 20


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(download, "LONGEST_PAUSE", 0.002)


@pytest.fixture
def data(tmp_path):
    write_fake_pairs(tmp_path / "data", COUNT, shard_size=4)
    return tmp_path / "data"


@pytest.fixture
def options(tmp_path):
    return StoreOptions(cache_dir=str(tmp_path / "cache"), retries=4, timeout=5)


@pytest.fixture
def served(tmp_path, data):  # noqa: ARG001 (it must be there)
    with misbehaving(folder(tmp_path)) as server:
        yield server


def samples(shards, numbers=None):
    numbers = range(len(shards)) if numbers is None else numbers
    return [shards.read(number)._replace(shard="") for number in numbers]


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("data", 20),
        ("data/", 20),
        ("data?key=secret", 20),
        ("data/index.json", 20),
        ("data/index.json?key=secret", 20),
        ("data/00001.tar", 4),
        ("data/{00000..00002}.tar", 12),
        ("data/0000{0,3}.tar?key=secret", 8),
    ],
)
def test_every_kind_of_address(served, data, options, path, count):
    shards = ShardSet(f"{served.url}/{path}", options)
    local = ShardSet(str(data / path.split("?")[0].removeprefix("data").strip("/")))
    assert len(shards) == count
    assert shards.counts == local.counts
    if "{0,3}" not in path:
        assert samples(shards) == samples(local)
    read = shards.read(count - 1)
    assert read.shard.startswith(served.url)
    assert "secret" not in read.shard
    assert ("key=secret" in path) == all(seen.endswith("?key=secret") for seen, _ in served.seen)


def test_with_an_index_only_what_is_read_is_fetched_and_once(served, options):
    shards = ShardSet(f"{served.url}/data", options)
    shards.read(9)
    shards.read(8)
    again = ShardSet(f"{served.url}/data", options)
    again.read(10)
    assert served.requests == {"/data/index.json": 2, "/data/00002.tar": 1}


def test_the_cache_keeps_its_size_and_files_in_use_their_place(served, data, tmp_path):
    sizes = [file.stat().st_size for file in data.glob("*.tar")]
    limit = 2 * max(sizes)
    small = StoreOptions(cache_dir=str(tmp_path / "cache"), cache_gb=limit / 1e9)
    shards, expected = ShardSet(f"{served.url}/data", small), samples(ShardSet(str(data)))
    rng = random.Random(0)
    for number in [rng.randrange(COUNT) for _ in range(60)]:
        assert samples(shards, [number]) == [expected[number]]
        stored = sum(file.stat().st_size for file in (tmp_path / "cache").iterdir())
        assert stored <= limit
    counted = ShardSet(f"{served.url}/data/{{00000..00004}}.tar", small)
    assert counted.counts == (4,) * 5
    assert samples(counted) == expected


def test_a_broken_shard_is_reported_by_its_address_and_fetched_anew(served, data, options):
    (data / "index.json").unlink()
    whole = (data / "00001.tar").read_bytes()
    (data / "00001.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=rf"{served.url}/data/00001\.tar is no whole"):
        ShardSet(f"{served.url}/data/00001.tar", options)
    (data / "00001.tar").write_bytes(whole)
    assert len(ShardSet(f"{served.url}/data/00001.tar", options)) == 4


def test_an_index_that_lies(served, data, options):
    index = json.loads((data / "index.json").read_text())
    index["shards"][1]["count"] = 5
    index["shards"][2]["bytes"] -= 512
    index["shards"][3]["sha256"] = "0" * 64
    (data / "index.json").write_text(json.dumps(index))
    shards = ShardSet(f"{served.url}/data", options)
    for position, says in [
        (4, r"data/00001\.tar holds 4 samples but its index says 5"),
        (9, r"data/00002\.tar .* bytes but its index says"),
        (13, r"data/00003\.tar .*SHA-256 is not the one of its index"),
    ]:
        with pytest.raises(InputError, match=says):
            shards.read(position)
    assert samples(shards, [0]) == samples(ShardSet(str(data / "00000.tar")), [0])


@pytest.mark.parametrize(
    "line", [{"sha256": "../../x"}, {"sha256": 7}, {"bytes": "many"}, {"name": 3}, {"count": "x"}]
)
def test_an_index_of_nonsense(served, data, options, line):
    index = json.loads((data / "index.json").read_text())
    index["shards"][1] |= line
    (data / "index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"data/index\.json is not of the format"):
        ShardSet(f"{served.url}/data", options)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("nowhere", r"nowhere/index\.json cannot be fetched after 1 try \(HTTP 404"),
        ("none?key=secret", r"No shards at 'http://[^@]*/none\?\.\.\.'"),
        ("data/9.tar", r"data/9\.tar cannot be fetched after 1 try \(HTTP 404"),
        ("data/*.tar", r"has a \*: name shards"),
        ("data/{0.tar", r"The pattern 'http://[^@]*/data/\{0\.tar' cannot be read"),
    ],
)
def test_addresses_that_cannot_work(served, tmp_path, options, path, says):
    (tmp_path / "none").mkdir()
    (tmp_path / "none/index.json").write_text('{"format": "softmask-shards-1", "shards": []}')
    with pytest.raises(InputError, match=says):
        ShardSet(f"{served.url}/{path}", options)


@pytest.mark.parametrize("path", ["", "memory://ok/x.tar::"])
def test_what_is_no_address_tells_no_secret(options, path):
    with pytest.raises(InputError, match=r"is no address: write it as") as caught:
        ShardSet(f"{path}https://me:secret@[h/x.tar?key=secret", options)
    assert "secret" not in str(caught.value)


def test_names_of_shards_are_quoted(served, data, options):
    expected = samples(ShardSet(str(data)))
    tree = json.loads((data / "index.json").read_text())
    for line, name in zip(
        tree["shards"], ("a b", "b\u00fccher", "a#1", "50%25", "a?b"), strict=True
    ):
        (data / line["name"]).rename(data / f"{name}.tar")
        line["name"] = f"{name}.tar"
    (data / "index.json").write_text(json.dumps(tree))
    assert samples(ShardSet(f"{served.url}/data", options)) == expected
    typed = ShardSet(f"{served.url}/data/b\u00fccher.tar", options)
    assert samples(typed)[0].key == expected[4].key


def test_a_local_path_asks_nobody(served, data):
    assert not is_remote(str(data))
    ShardSet(str(data)).read(3)
    assert not served.seen


@pytest.mark.parametrize("seed", range(6))
def test_every_sample_once_or_an_error_from_a_server_that_misbehaves(tmp_path, data, seed):
    """Without and with hashes; a server that lies needs them."""
    rng = random.Random(seed)
    liars = {"corrupt", "short_length"}
    faults = [fault for fault in MENDABLE if fault not in liars or seed % 2]
    patient = StoreOptions(cache_dir=str(tmp_path / "cache"), retries=50, timeout=0.2)
    path = "data" if seed % 2 else "data/{00000..00004}.tar"
    expected = samples(ShardSet(str(data)))

    def choose(path, _):
        # What an index says of its shards cannot be said of itself.
        return rng.choice([*(set(faults) - liars if "json" in path else faults), None, None, None])

    with misbehaving(folder(tmp_path), choose) as server, at_most(60):
        assert samples(ShardSet(f"{server.url}/{path}", patient)) == expected
        assert server.faults.total() > server.faults["None"] > 0


def test_commands_need_a_flag(data, options, tmp_path):
    path = f"pipe:cat {data}/0000{{0..2}}.tar"
    with pytest.raises(InputError, match=r"pipe:cat \.\.\. would run .*allow_pipe to true"):
        ShardSet(path, options)
    allowed = StoreOptions(cache_dir=str(tmp_path / "cache"), allow_pipe=True)
    assert samples(ShardSet(path, allowed)) == samples(ShardSet(str(data)), range(12))


@pytest.mark.parametrize(
    "path",
    [
        "pipe:{command}",
        "file://{tar}::pipe:{command}; cat {tar}",
        "{{file://{stem},pipe:{command}; cat {stem}}}.tar",
        "pipe:{command}/index.json",
    ],
)
def test_no_command_runs_without_the_flag_wherever_it_stands(data, options, tmp_path, path):
    tar, command = data / "00000.tar", f"touch {tmp_path}/ran"
    path = path.format(command=command, tar=tar, stem=tar.with_suffix(""))
    with pytest.raises(InputError, match=r"pipe:touch \.\.\. would run .*allow_pipe to true"):
        ShardSet(path, options)
    with pytest.raises(InputError, match=r"pipe:touch \.\.\. would run"):
        Store(options).read(f"pipe:{command}")
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "cache").exists()  # nothing else was fetched before


def test_object_stores_by_fsspec(data, options):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(data), "/bucket/train", recursive=True)
    expected = samples(ShardSet(str(data)))
    for path in ("memory://bucket/train", "memory://bucket/train/{00000..00004}.tar"):
        assert samples(ShardSet(path, options)) == expected
    memory.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("name", "value"), [("cache_gb", 0), ("timeout", float("nan")), ("retries", -1)]
)
def test_options_that_cannot_work(name, value):
    with pytest.raises(InputError, match=rf"store\.{name} is {value}: give"):
        StoreOptions(**{name: value})


def test_the_cache_lies_in_the_user_s_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Store(StoreOptions())._cache.folder == tmp_path / "softmask" / "shards"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/ann")
    folder = Store(StoreOptions())._cache.folder
    assert str(folder) == "/home/ann/.cache/softmask/shards"
    assert str(Store(StoreOptions(cache_dir="~/c"))._cache.folder) == "/home/ann/c"


def batches(train, options, workers, epochs=2, **more):
    module = PretrainData(
        train, image_size=16, batch_size=4, window=9, workers=workers, store=options, **more
    )
    loader = module.train_dataloader()
    found = [batch for _ in range(epochs) for batch in loader]
    module.teardown("fit")
    return found


def same(one, other):
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        assert left.keys() == right.keys()
        for name, value in left.items():
            equal = torch.equal if isinstance(value, torch.Tensor) else lambda a, b: a == b
            assert equal(value, right[name]), name


@pytest.mark.parametrize("workers", [0, 2])
def test_training_from_afar_sees_the_batches_of_training_here(tmp_path, data, options, workers):
    rng = random.Random(workers)
    faults = ["reset", "cut", "503", "corrupt", None, None]
    expected = batches(str(data), options, 0)
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)

    def choose(path, _):
        return None if "json" in path else rng.choice(faults)

    with misbehaving(folder(tmp_path), choose) as server, at_most(60):
        patient = StoreOptions(options.cache_dir, retries=30, timeout=5)
        same(batches(f"{server.url}/data", patient, workers), expected)


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_store_that_goes_away_ends_the_run_with_one_paragraph(tmp_path, workers):
    def choose(path, _):
        return "reset" if "00003" in path else None

    hasty = StoreOptions(str(tmp_path / "cache"), retries=1, timeout=5)
    with misbehaving(folder(tmp_path), choose) as server, at_most(30):
        message = ""
        try:
            batches(f"{server.url}/data", hasty, workers)
        except InputError as error:
            message = str(error)
        assert "data/00003.tar cannot be fetched after 2 tries" in message


@pytest.mark.parametrize("workers", [0, 2])
def test_a_mixture_from_here_and_afar(tmp_path, data, options, served, workers):
    other = write_fake_pairs(tmp_path / "other", 10, seed=1, shard_size=4)
    here = [Source(str(data), 0.5), Source(other, 2.0)]
    afar = [Source(f"{served.url}/data", 0.5), Source(other, 2.0)]
    expected = batches(here, options, 0)
    assert len(expected) == 2 * ((10 + 20) // 4)
    same(batches(afar, options, workers), expected)


def test_a_repeated_sample_is_augmented_anew(tmp_path, options):
    path = write_fake_pairs(tmp_path / "few", 2)
    found = batches([Source(path, 2.0)], options, 0, epochs=1)
    images = {image.numpy().tobytes() for batch in found for image in batch["image"]}
    assert len(images) == 4
    assert sorted(found[0]["position"].tolist()) == [0, 0, 1, 1]


def test_hashes_are_those_of_the_files(data):
    for shard in json.loads((data / "index.json").read_text())["shards"]:
        assert hashlib.sha256((data / shard["name"]).read_bytes()).hexdigest() == shard["sha256"]
        assert tarfile.is_tarfile(data / shard["name"])
