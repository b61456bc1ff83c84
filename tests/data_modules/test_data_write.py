import errno
import hashlib
import json
import os
import tarfile

import pytest
from fake import fake_pairs, write_fake_pairs

from data_modules import contents
from data_modules.shards import ShardSet
from data_modules.text import normalise
from data_modules.write import KEY, Pair, write_shards
from softmask.errors import InputError


def pair(key="a", image=b"x", extension="jpg", captions=("a cat",), meta=None):
    return Pair(key, image, extension, list(captions), meta or {})


def digests(folder):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_same_samples_give_the_same_bytes(tmp_path):
    for name in "ab":
        write_fake_pairs(tmp_path / name, 20, seed=1)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    write_fake_pairs(tmp_path / "c", 20, seed=2)
    assert digests(tmp_path / "a") != digests(tmp_path / "c")


def test_index_says_what_is_there(tmp_path):
    count = write_shards(fake_pairs(20), tmp_path, shard_size=8, notes={"license": "CC0"})
    index = json.loads((tmp_path / "index.json").read_text())
    assert count == index["count"] == 20
    assert index["license"] == "CC0"
    assert index["format"] == "softmask-shards-1"
    assert [s["name"] for s in index["shards"]] == ["00000.tar", "00001.tar", "00002.tar"]
    assert [s["count"] for s in index["shards"]] == [8, 8, 4]
    for shard in index["shards"]:
        data = (tmp_path / shard["name"]).read_bytes()
        assert shard["sha256"] == hashlib.sha256(data).hexdigest()
        assert shard["bytes"] == len(data)
    joined = "".join(shard["sha256"] for shard in index["shards"])
    assert index["hash"] == hashlib.sha256(joined.encode()).hexdigest()
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "00000.tar",
        "00001.tar",
        "00002.tar",
        "index.json",
    ]


def test_members_and_several_captions(tmp_path):
    write_shards([pair(captions=["zwei", "drei"], meta={"book": "x"})], tmp_path)
    with tarfile.open(tmp_path / "00000.tar") as tar:
        assert tar.getnames() == ["a.jpg", "a.json", "a.txt"]
        assert all(member.mtime == 0 for member in tar.getmembers())
    columns = ShardSet(str(tmp_path)).read(0).columns
    assert columns["jpg"] == b"x"
    assert columns["txt"] == b"zwei"
    assert json.loads(columns["json"]) == {"book": "x", "captions": ["zwei", "drei"]}


def test_halves_of_characters_go_from_captions_and_stay_in_notes(tmp_path):
    given = ["a \ud83d dog", "ein H\u00fcnd\udc36chen \U0001f436"]
    meta = {"image": "caf\udce9.png", "\ud83d": ["\\", "\u00e9\udce9"]}
    write_shards([pair(captions=given, meta=meta)], tmp_path, notes={"credit": "\udce9"})
    sample = ShardSet(str(tmp_path)).read(0)
    found = contents.captions(sample)
    assert sample.columns["txt"].decode() == found[0] == "a  dog"
    assert [normalise(text, 9) for text in found] == [normalise(text, 9) for text in given]
    assert contents.meta(sample) == {**meta, "captions": found}
    assert json.loads((tmp_path / "index.json").read_text())["credit"] == "\udce9"


def test_other_letters_are_written_as_they_are(tmp_path):
    said = ["\u200bHünd\x00chen 🐶", "zwei"]
    write_shards([pair(captions=said, meta={"image": "é"})], tmp_path)
    columns = ShardSet(str(tmp_path)).read(0).columns
    assert columns["txt"] == said[0].encode()
    expected = '{"captions": ["\u200bHünd\\u0000chen 🐶", "zwei"], "image": "é"}'
    assert columns["json"] == expected.encode()


def test_a_broken_off_write_leaves_no_index_and_no_half_shard(tmp_path):
    def breaks():
        yield from fake_pairs(12)
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk"):
        write_shards(breaks(), tmp_path, shard_size=8)
    assert [file.name for file in tmp_path.iterdir()] == ["00000.tar"]
    assert len(ShardSet(str(tmp_path / "00000.tar"))) == 8
    write_fake_pairs(tmp_path, 12)
    assert len(ShardSet(str(tmp_path))) == 12


def test_a_full_disk_is_told_with_the_shard(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left.*00000\.tar'"):
        write_fake_pairs(tmp_path, 3)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (pair(key="a.b"), "'a.b'.*dots"),
        (pair(key="a/b"), "'a/b'.*slashes"),
        (pair(key=""), "key ''"),
        (pair(key="k" * 81), "80"),
        (pair(extension="gif"), "'gif'.*jpg"),
        (pair(captions=[]), "'a' has an empty caption"),
        (pair(captions=["x", " "]), "'a' has an empty caption"),
        (pair(captions=["x", "\ud83d"]), "'a' has an empty caption"),
    ],
)
def test_refused_pairs(tmp_path, wrong, words):
    with pytest.raises(InputError, match=words):
        write_shards([wrong], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_refused_places(tmp_path):
    with pytest.raises(InputError, match="at least one picture"):
        write_shards([], tmp_path / "empty")
    with pytest.raises(InputError, match="shard size is 0"):
        write_shards([pair()], tmp_path / "zero", shard_size=0)
    write_shards([pair()], tmp_path / "full")
    before = digests(tmp_path / "full")
    with pytest.raises(InputError, match="already"):
        write_shards([pair()], tmp_path / "full")
    assert digests(tmp_path / "full") == before


def test_fake_pairs_differ():
    pairs = list(fake_pairs(180))
    assert len({item.captions[0] for item in pairs}) == 180
    assert len({item.image for item in pairs}) == 180
    assert len({item.key for item in pairs}) == 180
    assert all(KEY.fullmatch(item.key) for item in pairs)
