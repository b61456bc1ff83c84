import json

import pytest
from fake import write_fake_pairs
from schemas import write_img2dataset, write_tar

from data_modules import index_tars as module
from data_modules.commands import main
from data_modules.shards import ShardSet
from softmask.errors import InputError

COUNTS = {"00000.tar": 8, "00001.tar": 8, "00002.tar": 4}


@pytest.fixture
def folder(tmp_path):
    """Three tars, with what our own writer says of them in index.txt."""
    write_fake_pairs(tmp_path, 20)
    (tmp_path / "index.json").rename(tmp_path / "index.txt")
    return tmp_path


@pytest.fixture
def counted(monkeypatch):
    """The tars whose samples were counted."""
    files = []

    class Counting(module.TarShard):
        def __init__(self, file):
            files.append(file.name)
            super().__init__(file)

    monkeypatch.setattr(module, "TarShard", Counting)
    return files


def index(folder, *flags):
    main(["index", "--path", str(folder), *flags])
    return json.loads((folder / "index.json").read_text())


def wids(folder, **more):
    rows = [
        {
            "url": f"/elsewhere/{name}",
            "md5sum": "0" * 32,
            "nsamples": count,
            "filesize": (folder / name).stat().st_size,
            **more,
        }
        for name, count in COUNTS.items()
    ]
    tree = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "shardlist": rows, "name": "x"}
    (folder / "shards.json").write_text(json.dumps(tree))


def stats(folder):
    for name, count in COUNTS.items():
        text = json.dumps({"count": count + 2, "successes": count, "failed_to_download": 2})
        (folder / f"{name[:-4]}_stats.json").write_text(text)


SOURCES = {
    "sizes.json": lambda folder: (folder / "sizes.json").write_text(json.dumps(COUNTS)),
    "*_stats.json": stats,
    "shards.json": wids,
}


@pytest.mark.parametrize("workers", ["0", "2"])
def test_hash_gives_the_index_of_our_own_writer(folder, workers):
    own = json.loads((folder / "index.txt").read_text())
    assert index(folder, "--hash", "true", "--workers", workers) == own
    assert sorted(file.name for file in folder.iterdir()) == [*COUNTS, "index.json", "index.txt"]


def test_counts(folder, counted, capsys):
    found = index(folder)
    assert counted == list(COUNTS)
    assert [shard["count"] for shard in found["shards"]] == [8, 8, 4]
    assert "hash" not in found
    assert "sha256" not in found["shards"][0]
    assert len(ShardSet(str(folder))) == 20
    out = capsys.readouterr().out
    assert "samples are counted" in out
    assert "3 tars, 20 samples" in out


@pytest.mark.parametrize("source", SOURCES)
def test_other_tools_counts_save_counting(folder, counted, capsys, source):
    SOURCES[source](folder)
    found = index(folder)
    assert [shard["count"] for shard in found["shards"]] == [8, 8, 4]
    assert sorted(counted) == ["00000.tar", "00002.tar"]
    assert f"samples as {source} says" in capsys.readouterr().out
    assert ShardSet(str(folder)).counts == (8, 8, 4)


def test_img2dataset_folders(tmp_path, capsys):
    folder = write_img2dataset(tmp_path / "laion", "webdataset")
    assert index(folder)["count"] == 8
    assert "samples as *_stats.json says" in capsys.readouterr().out


@pytest.mark.parametrize("source", SOURCES)
def test_wrong_counts_are_refused(folder, source, monkeypatch):
    monkeypatch.setitem(COUNTS, "00002.tar", 5)
    SOURCES[source](folder)
    with pytest.raises(InputError, match=r"00002\.tar holds 4 samples but .* says 5: delete"):
        index(folder)
    assert not (folder / "index.json").exists()


def test_sizes_of_a_wids_index_are_compared(folder):
    wids(folder, filesize=7)
    with pytest.raises(InputError, match=r"bytes but shards\.json says 7"):
        index(folder)


def test_a_source_that_lacks_tars_is_named_and_not_used(folder, counted, capsys):
    (folder / "sizes.json").write_text(json.dumps({"00000.tar": 8}))
    assert index(folder)["count"] == 20
    assert counted == list(COUNTS)
    out = capsys.readouterr().out
    assert "sizes.json is not used: it lacks 2 of 3 tars, the first is 00001.tar" in out


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sizes.json", "[1]"),
        ("sizes.json", '{"00000.tar": "many"}'),
        ("00000_stats.json", '{"count": 8}'),
        ("00000_stats.json", "[]"),
        ("w.json", '{"shardlist": [{"url": "00000.tar"}]}'),
    ],
)
def test_broken_sources(folder, name, content):
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name} does not give the samples of each tar: delete"):
        index(folder)


@pytest.mark.parametrize("source", [None, "sizes.json"])
@pytest.mark.parametrize("cut", [512, 1024, 10000])
def test_cut_tars_are_refused(folder, source, cut):
    if source:
        SOURCES[source](folder)
    file = folder / "00001.tar"
    file.write_bytes(file.read_bytes().rstrip(b"\0")[:-cut])
    with pytest.raises(InputError, match=r"00001\.tar is no whole, uncompressed tar"):
        index(folder)


def test_places_that_cannot_be_indexed(folder, tmp_path):
    with pytest.raises(InputError, match=r"holds no \.tar"):
        index(tmp_path / "none")
    index(folder)
    with pytest.raises(InputError, match=r"index\.json is there already"):
        index(folder)
    (folder / "index.json").unlink()
    write_tar(folder / "00003.tar", {})
    with pytest.raises(InputError, match=r"00003\.tar holds no samples"):
        index(folder)


def test_continues_where_it_broke_off(folder, monkeypatch):
    real, done = module.index_job, []

    def job(job):
        if len(done) == 2:
            raise RuntimeError
        done.append(job.file.name)
        return real(job)

    monkeypatch.setattr(module, "index_job", job)
    with pytest.raises(RuntimeError):
        index(folder, "--hash", "true")
    ledger = folder / ".index-1-of-1.jsonl"
    words = f"begun with hash True, and now it is False: .* or delete {ledger} to begin anew"
    with pytest.raises(InputError, match=words):
        index(folder)
    done.clear()
    assert index(folder, "--hash", "true") == json.loads((folder / "index.txt").read_text())
    assert done == ["00002.tar"]


def test_a_garbled_ledger_is_to_be_deleted_not_the_tars(folder):
    ledger = folder / ".index-1-of-1.jsonl"
    ledger.write_text("[]\n")
    with pytest.raises(InputError, match="cannot be read: delete this file, and nothing") as caught:
        index(folder)
    assert str(caught.value).count(str(folder)) == str(caught.value).count(str(ledger)) == 1
    ledger.unlink()
    assert index(folder)["count"] == 20


def test_hidden_tars_get_no_line(folder):
    (folder / "._00000.tar").write_bytes(b"\0\5\x16\7")  # as macOS leaves them
    assert [shard["name"] for shard in index(folder)["shards"]] == list(COUNTS)
