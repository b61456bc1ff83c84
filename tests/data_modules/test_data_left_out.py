"""Bad pictures in `softmask data write`: replaced while it waits, or left out and listed."""

import json

import pytest
from converting import contents
from schemas import write_csv, write_pictures

from data_modules import pairs
from data_modules.commands import main
from data_modules.pairs import write_pairs
from data_modules.shards import ShardSet
from softmask.errors import InputError

NAMES = [f"{number:03d}.png" for number in range(12)]
BAD = ("004.png", "009.png")


@pytest.fixture
def pictures(tmp_path):
    return write_pictures(tmp_path / "images", NAMES), write_csv(tmp_path / "a.csv", NAMES)


def spoil(folder, names=BAD):
    for name in names:
        (folder / name).write_bytes(b"<html>404")


def samples(folder):
    shards = ShardSet(str(folder))
    return {(one := shards.read(at)).key: one.columns for at in range(len(shards))}


def write(pictures, output, **options):
    write_pairs(*pictures, output, **{"shard_size": 2, "val_share": 0.25, **options})


def test_all_others_keep_their_keys_and_their_order(pictures, tmp_path, capsys):
    write(pictures, tmp_path / "good")
    spoil(pictures[0])
    write(pictures, tmp_path / "some", skip_bad=True)
    left_out, told = [], capsys.readouterr().out
    for split in ("train", "val"):
        good, some = samples(tmp_path / "good" / split), samples(tmp_path / "some" / split)
        bad = {key: columns for key, columns in good.items() if key not in some}
        assert list(some.items()) == [pair for pair in good.items() if pair[0] not in bad]
        index = json.loads((tmp_path / "some" / split / "index.json").read_text())
        assert (index["count"], index.get("left_out", 0)) == (len(some), len(bad))
        assert all("left_out" not in shard for shard in index["shards"])
        if bad:
            rows = (tmp_path / "some" / split / "left_out.jsonl").read_text().splitlines()
            listed = list(map(json.loads, rows))
            assert [row["key"] for row in listed] == list(bad)
            left_out += listed
            assert f"left out: {len(bad)}, see " in told
    assert {row["image"]: row["why"] for row in left_out} == {
        name: f"{name!r} cannot be decoded" for name in BAD
    }


def test_workers_parts_and_stops_change_no_byte(pictures, tmp_path):
    spoil(pictures[0])
    write(pictures, tmp_path / "one", skip_bad=True)
    write(pictures, tmp_path / "two", skip_bad=True, workers=2)
    for part in ("2/3", "1/3", "3/3"):
        write(pictures, tmp_path / "parts", skip_bad=True, part=part)
    with pytest.raises(InputError, match="cannot be decoded: replace it and give the same"):
        write(pictures, tmp_path / "stopped")
    write(pictures, tmp_path / "stopped", skip_bad=True)
    whole = contents(tmp_path / "one")
    for name in ("two", "parts", "stopped"):
        assert contents(tmp_path / name) == whole


def test_what_was_left_out_is_written_without_the_switch(pictures, tmp_path, monkeypatch):
    spoil(pictures[0])
    with monkeypatch.context() as patch:
        patch.setattr(pairs, "_join", lambda *_: None)  # all but the last step
        write(pictures, tmp_path / "out", skip_bad=True)
    with pytest.raises(InputError, match="cannot be decoded: replace it"):
        write(pictures, tmp_path / "out")
    write_pictures(pictures[0], NAMES)
    (tmp_path / "out" / "train" / "left_out.jsonl").write_text("of a start that was killed")
    write(pictures, tmp_path / "out")
    write(pictures, tmp_path / "good")
    assert contents(tmp_path / "out") == contents(tmp_path / "good")


def test_parts_join_what_none_of_them_may_lack(pictures, tmp_path, capsys):
    spoil(pictures[0], NAMES[::2])  # some in each part
    write(pictures, tmp_path / "out", skip_bad=True, part="1/2")
    write_pictures(pictures[0], NAMES)
    write(pictures, tmp_path / "out", part="2/2")  # without the switch
    assert "shards are left to other parts" in capsys.readouterr().out.splitlines()[-1]
    assert not (tmp_path / "out" / "train" / "index.json").exists()
    write(pictures, tmp_path / "out", part="1/2")
    write(pictures, tmp_path / "good")
    assert contents(tmp_path / "out") == contents(tmp_path / "good")


def test_a_shard_of_bad_pictures_alone_is_none(pictures, tmp_path):
    spoil(pictures[0])
    arguments = ["--images", pictures[0], "--captions", pictures[1], "--output", tmp_path / "out"]
    main(["write", *map(str, arguments), "--shard_size", "1", "--skip_bad", "true"])
    assert len(list((tmp_path / "out/train").glob("*.tar"))) == len(NAMES) - len(BAD)
    assert len(samples(tmp_path / "out/train")) == len(NAMES) - len(BAD)


def test_a_split_of_bad_pictures_alone_is_refused(pictures, tmp_path):
    spoil(pictures[0], NAMES)
    with pytest.raises(InputError, match=r"Nothing is left of .*train, .*delete .*out to begin"):
        write(pictures, tmp_path / "out", skip_bad=True, val_share=0)
    assert not list((tmp_path / "out").glob("*/index.json"))
