"""The benchmarks' parts, without timing anything."""

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import clock, loader, memory, naive, scale
from benchmarks.pictures import mean_sides, smooth_pairs
from data_modules.image import Distortion, operations
from data_modules.shards import ShardSet
from data_modules.write import write_shards

KEYS = {"ours", "naive", "decode", "machine", "commit", "naive_over_ours", "ours_over_decode"}
KEYS |= {"decode_dropped", "ours_over_decode_dropped"}


def test_both_pipelines_have_the_same_operations():
    own, other = operations(7, 256), naive.operations(7, 256, 128)
    assert list(own) == list(other)
    assert [len(ways) for ways in own.values()] == [len(ways) for ways in other.values()]


def test_both_pipelines_have_the_same_probabilities():
    options = Distortion()
    crop, flip, jitter, gray, blur, augment, *_ = naive.transform(options, 32).transforms
    assert (tuple(crop.scale), tuple(crop.ratio)) == (options.crop_scale, options.crop_ratio)
    assert (flip.p, jitter.p, gray.p, blur.p) == (0.5, 0.8, 0.2, 0.5)
    assert jitter.transforms[0].hue == (-0.1, 0.1)
    assert jitter.transforms[0].contrast == (0.6, 1.4)
    assert augment.keywords["draws"] == options.rand_ops
    assert augment.keywords["probability"] == options.rand_prob


def test_naive_operations_run():
    picture = Image.new("RGB", (16, 16), (200, 100, 50))
    for ways in naive.operations(7, 16, 128).values():
        assert all(way(picture).size == (16, 16) for way in ways)


def test_naive_batch(tmp_path):
    pairs = list(smooth_pairs(4, (40, 30)))
    files = [tmp_path / f"{pair.key}.jpg" for pair in pairs]
    for pair, file in zip(pairs, files, strict=True):
        file.write_bytes(pair.image)
    batch = naive.Naive(Distortion(), 16)(files, [pair.captions[0] for pair in pairs])
    assert batch["image"].shape == (4, 3, 16, 16)
    assert batch["image"].is_floating_point()
    assert batch["input_ids"].shape == batch["labels"].shape
    assert (batch["labels"] != -100).sum() < batch["labels"].numel() / 2


def test_pictures_are_repeatable_and_of_the_size_asked_for():
    first, again = (list(smooth_pairs(3, (40, 30))) for _ in range(2))
    assert first == again
    assert len({pair.captions[0] for pair in first}) == 3
    assert mean_sides(first) == [40, 30]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_loader_writes_its_result(tmp_path, capsys):
    missing = tmp_path / "none.tar"
    loader.main("mine", missing, 8, 1, size=32, memory_samples=1000, output=tmp_path / "results")
    result = json.loads((tmp_path / "results" / "loader-mine.json").read_text())
    assert set(result) >= KEYS
    assert all(result[name] > 0 for name in ("ours", "naive", "decode"))
    assert result["memory"]["samples"] == 1000
    assert len(result["memory"]["resident_mib"]) == 10
    printed = capsys.readouterr().out
    assert "naive_over_ours" in printed
    assert "memory over 1000 samples" in printed


def test_report_says_what_was_missed():
    result = {"pictures": "x", "mean_sides": [3, 2], "size": 8, "ours": 1, "naive": 1, "decode": 1}
    result |= {"decode_dropped": 1, "ours_over_decode_dropped": 3.5}
    said = loader.report({**result, "naive_over_ours": 5.5, "ours_over_decode": 2.5})
    assert "5.50, at least 5 wanted: met" in said
    assert "2.50, at most 2 wanted: missed" in said


def test_rivals_take_turns():
    order = []
    taken = clock.race({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b"] * 3
    assert [len(each) for each in taken.values()] == [2, 2]
    assert clock.ratio({"a": [2.0, 6.0, 9.0], "b": [1.0, 2.0, 9.0]}, "a", "b") == 2


def test_an_index_can_name_its_shard_many_times(tmp_path):
    write_shards(smooth_pairs(4, (16, 16)), tmp_path)
    memory.repeat(tmp_path / "index.json", 3)
    shards = ShardSet(str(tmp_path))
    assert len(shards) == 12
    assert shards.read(9).key == shards.read(1).key


def test_scale_measures_a_small_set(tmp_path):
    found = scale.measure(tmp_path, 5, 2200, 1)
    recorded = json.loads((Path(loader.RESULTS) / "scale.json").read_text())
    assert set(recorded) == {*found, "date", "machine", "commit"}
