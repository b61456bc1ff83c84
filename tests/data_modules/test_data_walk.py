import io
import tarfile

import pytest
from fake import write_fake_pairs

from data_modules import tar as module
from data_modules.tar import TarShard
from data_modules.walk import walk


@pytest.fixture
def shard(tmp_path):
    write_fake_pairs(tmp_path, 6)
    return tmp_path / "00000.tar"


def write(file, name, kind=tarfile.REGTYPE, form=tarfile.USTAR_FORMAT):
    with tarfile.open(file, "w", format=form) as tar:
        info = tarfile.TarInfo(name)
        info.size, info.type, info.linkname = (3 if kind == tarfile.REGTYPE else 0), kind, "b.txt"
        tar.addfile(info, io.BytesIO(b"abc") if info.size else None)
    return file


def test_a_plain_tar_is_listed_as_tarfile_does(shard):
    with tarfile.open(shard) as tar:
        assert walk(shard) == [(info.name, info.offset_data, info.size) for info in tar]


def test_both_looks_find_the_same_samples(shard, monkeypatch):
    quick = TarShard(shard)
    monkeypatch.setattr(module, "walk", lambda _: None)
    slow = TarShard(shard)
    assert quick.samples == slow.samples
    assert [quick.read(n) for n in range(6)] == [slow.read(n) for n in range(6)]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["x" * 101 + ".txt", "a/" * 60 + "b.txt", "é.txt"])
def test_odd_names_are_tarfiles_affair(tmp_path, name, form):
    if not (name.startswith("xxx") and form == tarfile.USTAR_FORMAT):
        assert walk(write(tmp_path / "a.tar", name, form=form)) is None


@pytest.mark.parametrize("name", ["/a.txt", "../a.txt", "b/../a.txt"])
def test_unsafe_paths_are_tarfiles_affair(tmp_path, name):
    assert walk(write(tmp_path / "a.tar", name)) is None


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE]
)
def test_other_kinds_are_tarfiles_affair(tmp_path, kind):
    assert walk(write(tmp_path / "a.tar", "a.txt", kind)) is None


def test_a_cut_tar_is_tarfiles_affair(shard):
    whole = shard.read_bytes()
    with tarfile.open(shard) as tar:
        end = [info.offset_data + -(-info.size // 512) * 512 for info in tar][-1]
    for length in (0, 100, 512, end - 700, end - 1, end, end + 100):
        shard.write_bytes(whole[:length])
        assert walk(shard) is None, length
    shard.write_bytes(bytes(1024))
    assert walk(shard) is None


def test_a_changed_header_is_tarfiles_affair(shard):
    whole = bytearray(shard.read_bytes())
    for place in (0, 105, 130, 150, 156, 200, 257, 300, 345):
        broken = whole.copy()
        broken[place] ^= 1
        shard.write_bytes(broken)
        assert walk(shard) is None, place
