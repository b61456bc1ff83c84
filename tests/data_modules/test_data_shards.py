import io
import json
import multiprocessing
import os
import pickle
import shutil
import tarfile

import pytest
from fake import fake_pairs, write_fake_pairs

from data_modules.shards import OPEN_SHARDS, ShardSet
from softmask.errors import InputError


def write_tar(file, members, kind=None, target="x"):
    with tarfile.open(file, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if kind is not None:
                info.type, info.linkname = kind, target
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return str(file)


@pytest.fixture
def folder(tmp_path):
    write_fake_pairs(tmp_path / "data", 20, shard_size=8)
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("{}", 20),
        ("{}/index.json", 20),
        ("{}/00001.tar", 8),
        ("{}/{{00000..00001}}.tar", 16),
        ("{}/*.tar", 20),
        ("{}/0000[02].tar", 12),
    ],
)
def test_every_kind_of_path(folder, path, count):
    shards = ShardSet(path.format(folder))
    assert len(shards) == count
    keys = {shards.read(position).key for position in range(count)}
    assert len(keys) == count


def test_reads_what_was_written_in_any_order(folder):
    shards = ShardSet(str(folder))
    expected = list(fake_pairs(20))
    for position in [19, 0, 8, 7, 16, 15, 3]:
        sample = shards.read(position)
        assert sample.position == position
        assert sample.key == expected[position].key
        assert sample.columns["png"] == expected[position].image
        assert sample.columns["txt"].decode() == expected[position].captions[0]
        assert sample.shard == str(folder / f"{position // 8:05d}.tar")


def test_without_index_the_tars_are_counted(folder):
    (folder / "index.json").unlink()
    assert ShardSet(str(folder)).counts == (8, 8, 4)


def test_few_files_stay_open(tmp_path):
    write_fake_pairs(tmp_path, OPEN_SHARDS + 10, shard_size=1)
    shards = ShardSet(str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    for position in range(len(shards)):
        shards.read(position)
    assert len(os.listdir("/proc/self/fd")) <= before + OPEN_SHARDS
    copy = pickle.loads(pickle.dumps(shards))
    assert not copy._open, "two owners would close one file"
    assert copy.read(3) == shards.read(3)
    del shards, copy
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def _read_many(shards, results):
    results.put(all(shards.read(p % 20).key.endswith(f"{p % 20:05d}") for p in range(400)))


def test_forked_readers_do_not_disturb_each_other(folder):
    shards = ShardSet(str(folder))
    for position in range(20):
        shards.read(position)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [context.Process(target=_read_many, args=(shards, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    assert all(results.get(timeout=30) for _ in workers)
    for worker in workers:
        worker.join()


def test_reads_that_give_less_than_asked_are_read_on(folder, monkeypatch):
    whole = ShardSet(str(folder)).read(3)
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda file, size, at: pread(file, min(size, 700), at))
    assert ShardSet(str(folder)).read(3) == whole


def test_a_shard_that_shrinks_under_a_run_is_named(folder):
    shards = ShardSet(str(folder))
    shards.read(0)
    os.truncate(folder / "00000.tar", 2_000)
    with pytest.raises(InputError, match=r"00000\.tar became shorter .*byte \d+"):
        shards.read(1)


def test_groups_as_webdataset_does(tmp_path):
    members = [
        ("__meta__/a.json", b"skipped"),
        ("dir/a.JPG", b"1"),
        ("dir/a.cls.txt", b"2"),
        ("noextension", b"skipped"),
        ("b.jpg", b"3"),
    ]
    shards = ShardSet(write_tar(tmp_path / "x.tar", members))
    assert len(shards) == 2
    assert shards.read(0).key == "dir/a"
    assert shards.read(0).columns == {"jpg": b"1", "cls.txt": b"2"}
    assert shards.read(1).columns == {"jpg": b"3"}


@pytest.mark.parametrize("name", ["/etc/a.jpg", "../a.jpg", "x/../../a.jpg"])
def test_paths_out_of_the_tar_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"x\.tar.*out of the tar"):
        ShardSet(write_tar(tmp_path / "x.tar", [(name, b"1")]))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_are_refused(tmp_path, kind):
    with pytest.raises(InputError, match="link"):
        ShardSet(write_tar(tmp_path / "x.tar", [("a.jpg", b"")], kind))


def test_missing_and_empty_places(tmp_path, folder):
    with pytest.raises(InputError, match=r"nowhere.*does not exist.*softmask data write"):
        ShardSet(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"00003\.tar.*does not exist"):
        ShardSet(f"{folder}/{{00000..00003}}.tar")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"No shards at .*empty"):
        ShardSet(str(tmp_path / "empty"))
    (folder / "00002.tar").unlink()
    with pytest.raises(InputError, match=r"00002\.tar.*does not exist"):
        ShardSet(str(folder))


def test_a_file_is_what_it_is_called_whatever_it_would_mean_as_a_pattern(folder):
    for name, source in (("d1", "00000.tar"), ("d[1]", "00001.tar"), ("{a,b}", "00002.tar")):
        (folder / name).mkdir()
        shutil.copy(folder / source, folder / name / "x.tar")
    expected = [ShardSet(f"{folder}/0000{number}.tar").read(0).key for number in (1, 2)]
    assert [
        ShardSet(f"{folder}/{name}/x.tar").read(0).key for name in ("d[1]", "{a,b}")
    ] == expected


@pytest.mark.parametrize("path", ["{0000..02.tar", "${NOBODY_SET_THIS}/x.tar"])
def test_patterns_that_nobody_can_read(folder, path):
    with pytest.raises(InputError, match=r"The pattern .* cannot be read: close its braces"):
        ShardSet(f"{folder}/{path}")


def test_a_pattern_takes_what_the_advice_says(folder, monkeypatch):
    monkeypatch.setenv("WDS_NUMBER", "00001")
    assert len(ShardSet(f"{folder}/${{NUMBER}}.tar")) == len(ShardSet(f"{folder}/00001.tar"))


def test_empty_shard(tmp_path):
    with pytest.raises(InputError, match=r"x\.tar holds no samples"):
        ShardSet(write_tar(tmp_path / "x.tar", []))


def test_doubled_member(tmp_path):
    with pytest.raises(InputError, match=r"'a\.JPG' twice"):
        ShardSet(write_tar(tmp_path / "x.tar", [("a.jpg", b"1"), ("a.JPG", b"2")]))


@pytest.mark.parametrize("length", range(512, 20_000, 768))
def test_cut_shard(folder, length):
    file = folder / "00000.tar"
    data = file.read_bytes()
    assert len(data) > 20_000
    file.write_bytes(data[:length])
    with pytest.raises(InputError, match=r"00000\.tar"):
        ShardSet(str(file))
    with pytest.raises(InputError, match=r"00000\.tar"):
        ShardSet(str(folder)).read(0)


def test_not_a_tar(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"hello" * 1000)
    with pytest.raises(InputError, match=r"x\.tar is no whole, uncompressed tar"):
        ShardSet(str(tmp_path / "x.tar"))


def test_index_that_disagrees(folder):
    file = folder / "index.json"
    index = json.loads(file.read_text())
    index["shards"][1]["count"] = 9
    file.write_text(json.dumps(index))
    shards = ShardSet(str(folder))
    shards.read(0)
    with pytest.raises(InputError, match=r"00001\.tar holds 8 samples but its index says 9"):
        shards.read(10)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other", "shards": []}', "{"])
def test_index_of_another_kind(folder, text):
    (folder / "index.json").write_text(text)
    with pytest.raises(InputError, match=r"index\.json.*softmask data write"):
        ShardSet(str(folder))


def test_index_without_shards_or_with_an_empty_one(folder):
    (folder / "index.json").write_text('{"format": "softmask-shards-1", "shards": []}')
    with pytest.raises(InputError, match="No shards"):
        ShardSet(str(folder))
    empty = {"name": "00000.tar", "count": 0}
    (folder / "index.json").write_text(
        json.dumps({"format": "softmask-shards-1", "shards": [empty]})
    )
    with pytest.raises(InputError, match=r"00000\.tar holds no samples"):
        ShardSet(str(folder))
