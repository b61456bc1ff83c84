"""`softmask data write` shared and continued: the bytes are always the same."""

import json
from pathlib import Path

import pytest
from converting import NAMES, SHARDS, contents, write
from schemas import write_csv, write_pictures

from data_modules import pairs
from data_modules.commands import main
from data_modules.index_tars import index_tars
from data_modules.ledger import Ledger
from data_modules.pairs import write_pairs
from data_modules.shards import ShardSet
from softmask.errors import InputError
from softmask.parts import parse_part


def test_what_is_there(whole):
    assert set(whole) == {*SHARDS, "train/index.json", "val/index.json"}


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_no_byte(source, whole, tmp_path, workers):
    write(source, tmp_path / "out", workers=workers)
    assert contents(tmp_path / "out") == whole


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_parts_join_into_the_same_bytes(source, whole, tmp_path, capsys, order):
    for part in order[:2]:
        write(source, tmp_path, part=f"{part}/3")
        assert not list(tmp_path.rglob("index.json"))
        assert f"Part {part}/3 is whole" in capsys.readouterr().out
        assert set(contents(tmp_path)) >= set(SHARDS[part - 1 :: 3])
    write(source, tmp_path, part=f"{order[2]}/3", workers=2)
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("moment", ["before", "between"])
def test_a_part_that_ends_as_another_one_joins_says_so(
    source, whole, tmp_path, capsys, monkeypatch, moment
):
    """The other one ends before this one looks for ledgers, or between finding and reading them."""
    joined = []

    def of_all_parts(ledger, real=Ledger.of_all_parts):
        if not joined:
            joined.append(ledger.part.number)
            kept = [file for file in ledger._files() if moment == "between"]
            write(source, tmp_path, part="1/2")
            assert not list(tmp_path.glob(".write-*"))
            monkeypatch.setattr(ledger, "_files", lambda: kept)
        return real(ledger)

    write(source, tmp_path, part="1/2")
    monkeypatch.setattr(Ledger, "of_all_parts", of_all_parts)
    capsys.readouterr()
    write(source, tmp_path, part="2/2")
    assert joined == [2]
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if line.startswith("Part")] == [
        "Part 2/2 is whole, and another part has written the index."
    ]
    assert contents(tmp_path) == whole


def test_parts_on_disks_of_their_own_are_joined_by_index(source, whole, tmp_path):
    for part in (1, 2):
        write(source, tmp_path / str(part), part=f"{part}/2")
    (tmp_path / "train").mkdir()
    for part in (1, 2):
        for file in (tmp_path / str(part) / "train").iterdir():
            file.rename(tmp_path / "train" / file.name)
    index_tars(tmp_path / "train", hash=True)
    found = json.loads((tmp_path / "train/index.json").read_text())
    assert found == {
        k: v for k, v in json.loads(whole["train/index.json"]).items() if k != "credit"
    }


def test_a_part_started_again_does_nothing_anew(source, tmp_path, monkeypatch):
    write(source, tmp_path, part="1/2")
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in SHARDS[::2]}
    monkeypatch.setattr(pairs, "write_shard", None)
    write(source, tmp_path, part="1/2")
    assert before == {name: (tmp_path / name).stat().st_mtime_ns for name in SHARDS[::2]}


class Stop(Exception):  # noqa: N818
    pass


def stop_after(monkeypatch, shards):
    """Let the run break off when that many shards are written."""
    real, done = pairs.write_shard, []

    def write_shard(*args):
        if len(done) == shards:
            raise Stop
        done.append(args[2])
        return real(*args)

    monkeypatch.setattr(pairs, "write_shard", write_shard)
    return done


def test_continues_after_the_last_whole_shard(source, whole, tmp_path, monkeypatch):
    stop_after(monkeypatch, 4)
    with pytest.raises(Stop):
        write(source, tmp_path)
    assert {name for name in contents(tmp_path) if name.endswith(".tar")} == set(SHARDS[:4])
    monkeypatch.undo()
    done = stop_after(monkeypatch, 99)
    write(source, tmp_path)
    assert done == [Path(name).name for name in SHARDS[4:]]
    assert contents(tmp_path) == whole


def test_a_lost_or_cut_shard_and_a_cut_ledger_line_are_made_good(
    source, whole, tmp_path, monkeypatch
):
    stop_after(monkeypatch, 4)
    with pytest.raises(Stop):
        write(source, tmp_path)
    monkeypatch.undo()
    (tmp_path / SHARDS[0]).unlink()
    (tmp_path / SHARDS[1]).write_bytes(whole[SHARDS[1]][:-512])
    ledger = tmp_path / ".write-1-of-1.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-9])
    done = stop_after(monkeypatch, 99)
    write(source, tmp_path)
    assert done == [Path(name).name for name in [*SHARDS[:2], *SHARDS[3:]]]
    assert contents(tmp_path) == whole


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"short_side": 25}, "short_side 24, and now it is 25"),
        ({"seed": 1}, "seed 0, and now it is 1"),
        ({"shard_size": 6}, "shard_size 5, and now it is 6"),
        ({"quality": 91}, "quality 90, and now it is 91"),
        ({"credit": "you"}, "credit 'me', and now it is 'you'"),
        ({"part": "1/2"}, "part 'of 1', and now it is 'of 2'"),
    ],
)
def test_other_arguments_are_refused_by_name(source, tmp_path, monkeypatch, change, words):
    stop_after(monkeypatch, 2)
    with pytest.raises(Stop):
        write(source, tmp_path)
    monkeypatch.undo()
    before = contents(tmp_path)
    words = f"begun with {words}: give the same .* or delete {tmp_path} to begin anew"
    with pytest.raises(InputError, match=words):
        write(source, tmp_path, **change)
    assert contents(tmp_path) == before


def test_changed_captions_are_refused(tmp_path, monkeypatch):
    images = write_pictures(tmp_path / "images", NAMES)
    file = write_csv(tmp_path / "a.csv", NAMES)
    stop_after(monkeypatch, 2)
    with pytest.raises(Stop):
        write_pairs(images, file, tmp_path / "out", shard_size=5)
    monkeypatch.undo()
    write_csv(file, NAMES, count=3)
    with pytest.raises(InputError, match="begun with captions"):
        write_pairs(images, file, tmp_path / "out", shard_size=5)


def test_a_whole_set_is_never_touched(source, whole, tmp_path):
    write(source, tmp_path)
    with pytest.raises(InputError, match="holds a data set already"):
        write(source, tmp_path)
    assert contents(tmp_path) == whole


def test_a_broken_picture_in_a_worker_is_named(tmp_path):
    images = write_pictures(tmp_path / "images", NAMES[:8])
    (images / NAMES[5]).write_bytes(b"no picture")
    file = write_csv(tmp_path / "a.csv", NAMES[:8])
    flags = ["--images", images, "--captions", file, "--output", tmp_path / "out", "--workers", 2]
    arguments = ["write", *map(str, flags), "--shard_size", "2"]
    with pytest.raises(InputError, match=r"'005\.png' cannot be decoded"):
        main(arguments)
    write_pictures(images, NAMES[:8])
    main(arguments)
    assert len(ShardSet(str(tmp_path / "out/train"))) == 8


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/2", ""])
def test_parts_that_are_none(text):
    with pytest.raises(InputError, match=r"give 1/4, 2/4, 3/4 and 4/4"):
        parse_part(text)


def test_an_unreadable_ledger_is_refused(source, tmp_path):
    (tmp_path / ".write-1-of-1.jsonl").write_text("[]\n")
    with pytest.raises(InputError, match=r"\.write-1-of-1\.jsonl .* read: delete this file,"):
        write(source, tmp_path)
