"""`softmask data check` as its users run it."""

import json

import cv2
import numpy as np
import program
import pytest
from fake import fake_pairs, write_fake_pairs

from data_modules.order import TrainPlan
from data_modules.shards import ShardSet
from data_modules.write import write_shards


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    pairs = list(fake_pairs(20))
    pairs[3] = pairs[3]._replace(image=b"<html>")
    write_shards(pairs, folder, shard_size=8)
    whole = (folder / "00002.tar").read_bytes()
    (folder / "00002.tar").write_bytes(whole[:2000])
    return folder


def test_a_clean_set(tmp_path):
    folder = write_fake_pairs(tmp_path, 20)
    ended = program.here(["data", "check", "--path", folder, "--ranks", "2", "--batch_size", "4"])
    assert ended.code == 0
    assert "3 shards, 20 samples, 20 good" in ended.out
    assert "an epoch of 2 ranks x 4 samples: 2 steps, 4 samples left over" in ended.out
    assert "3/3" in ended.err, "the progress bar"


def test_problems_end_with_1_and_are_named(broken, tmp_path):
    report = tmp_path / "deep" / "check.json"
    args = ["data", "check", "--path", str(broken), "--report", str(report)]
    ended = program.here([*args, "--workers", "2"])
    assert ended.code == 1
    assert "softmask:" not in ended.err
    found = json.loads(report.read_text())
    assert {name: one["count"] for name, one in found["problems"].items()} == {
        "truncated_tar": 1,
        "unknown_picture": 1,
    }
    assert found["format"] == "softmask-check-1"
    assert found["problems"]["unknown_picture"]["examples"] == [
        {
            "shard": str(broken / "00000.tar"),
            "key": "0-00003",
            "detail": "is no JPEG, PNG, WebP or GIF: b'<html>'",
        }
    ]
    assert f"{broken / '00002.tar'} is no whole, uncompressed tar" in ended.out
    assert f"{broken / '00000.tar'} '0-00003' is no JPEG" in ended.out
    alone = tmp_path / "alone.json"
    program.here([*args[:-1], str(alone)])
    assert json.loads(alone.read_text()) == found, "the number of processes does not show"


def test_damage_that_decoders_pass_over(tmp_path):
    write_shards([pair._replace(image=jpeg(n)) for n, pair in enumerate(fake_pairs(3))], tmp_path)
    file = tmp_path / "00000.tar"
    data = bytearray(file.read_bytes())
    data[data.index(b"\xff\xda") + 60] ^= 1
    file.write_bytes(data)
    ended = program.here(["data", "check", "--path", str(tmp_path)])
    assert ended.code == 1
    assert "3 good" in ended.out
    assert "changed_shard" in ended.out
    (tmp_path / "index.json").unlink()
    assert program.here(["data", "check", "--path", str(tmp_path)]).code == 0


def jpeg(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


def test_a_pixel_limit(tmp_path):
    folder = write_fake_pairs(tmp_path, 4, size=32)
    args = ["data", "check", "--path", folder, "--max_pixels"]
    assert program.here([*args, "1024"]).code == 0
    ended = program.here([*args, "1023"])
    assert ended.code == 1
    assert "has 32 x 32 pixels, more than 1023" in ended.out


def test_a_set_too_small_for_a_step_is_told_so(tmp_path):
    folder = write_fake_pairs(tmp_path, 6)
    ended = program.here(["data", "check", "--path", folder, "--ranks", "2", "--batch_size", "9"])
    assert "too few samples for a step: lower batch_size to 3" in ended.out
    ended = program.here(["data", "check", "--path", folder, "--ranks", "8", "--batch_size", "1"])
    assert "too few samples for a step: lower ranks to 6 and batch_size to 1" in ended.out


def test_an_epoch_has_bad_samples_too_for_training_replaces_them(tmp_path):
    pairs = list(fake_pairs(8))
    pairs[3] = pairs[3]._replace(image=b"<html>")
    write_shards(pairs, tmp_path)
    args = ["data", "check", "--path", str(tmp_path), "--ranks", "2", "--batch_size", "4"]
    ended = program.here(args)
    assert "8 samples, 7 good" in ended.out
    assert "2 ranks x 4 samples: 1 steps, 0 samples left over" in ended.out
    assert TrainPlan((8,), 4, rank=0, world=2, seed=0, window=8).steps == 1


def test_hidden_tars_are_passed_over(tmp_path):
    write_fake_pairs(tmp_path, 4)
    (tmp_path / "index.json").unlink()
    (tmp_path / "._00000.tar").write_bytes(b"\0\5\x16\7")
    ended = program.here(["data", "check", "--path", str(tmp_path)])
    assert (ended.code, "1 shards, 4 samples" in ended.out) == (0, True)
    assert len(ShardSet(str(tmp_path))) == 4


def test_a_users_mistake_is_one_paragraph():
    ended = program.here(["data", "check", "--path", "nowhere"])
    assert ended.code == 1
    assert ended.err.strip().splitlines()[-1].startswith("softmask: ")
    assert "nowhere" in ended.err


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("cat " * 30, 0),  # 31 tokens with [CLS]
        ("cat " * 31, 1),
        ("word7 " * 15, 0),  # two pieces each: 31 tokens
        ("word7 " * 16, 1),
    ],
)
def test_a_text_that_loses_words_or_pieces_of_them_is_counted(tmp_path, text, cut):
    write_shards([pair._replace(captions=[text]) for pair in fake_pairs(1)], tmp_path)
    report = tmp_path / "check.json"
    args = ["data", "check", "--path", str(tmp_path), "--report", str(report)]
    ended = program.here([*args, "--text.max_words", "30", "--text.max_tokens", "31"])
    assert ended.code == 0
    assert json.loads(report.read_text())["mended"].get("cut_caption", 0) == cut
