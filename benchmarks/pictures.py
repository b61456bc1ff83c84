"""The pairs that benchmarks read: real ones from a tar, or smooth ones of the same sizes."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from data_modules.decode import decode
from data_modules.write import Pair

WORDS = ("small", "red", "bird", "on", "the", "old", "wooden", "fence", "near", "tall", "trees")
# Sizes and quality at which smooth pictures cost as much to decode as the real ones.
SIDES, GRAIN, QUALITY = (320, 187), 24, 90


def real_pairs(tar: Path, count: int) -> Iterator[Pair]:
    """Read the first pairs of a tar of pictures with captions.jsonl, as openstax_ccby.tar has.

    Args:
        tar: holds images/<name>.jpg and captions.jsonl with the keys image and captions.
        count: pairs to give at most.
    """
    with tarfile.open(tar) as file:
        rows = file.extractfile("captions.jsonl")
        assert rows is not None
        for line in rows.read().splitlines()[:count]:
            row = json.loads(line)
            data = file.extractfile(f"images/{row['image']}")
            assert data is not None
            yield Pair(Path(row["image"]).stem, data.read(), "jpg", row["captions"], {})


def smooth_pairs(count: int, sides: tuple[int, int] = SIDES, *, seed: int = 0) -> Iterator[Pair]:
    """Make JPEGs of smoothly changing colours with captions of drawn words.

    Args:
        count: pairs to give.
        sides: width and height in pixels.
        seed: of colours and words.
    """
    rng = np.random.default_rng(seed)
    cells = [max(2, side * GRAIN // 320) for side in sides]
    for number in range(count):
        coarse = rng.integers(0, 256, (cells[1], cells[0], 3), np.uint8)
        pixels = cv2.resize(coarse, sides, interpolation=cv2.INTER_CUBIC)
        data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        # A number gives each caption a word of its own, as names do.
        words = [*rng.choice(WORDS, 14), str(number)]
        yield Pair(f"{number:06d}", data, "jpg", [" ".join(words)], {})


def mean_sides(pairs: list[Pair]) -> list[int]:
    """Give the mean width and height of pictures in pixels."""
    shapes = [decode(pair.image).shape for pair in pairs]
    height, width, _ = np.mean(shapes, axis=0)
    return [round(float(width)), round(float(height))]
