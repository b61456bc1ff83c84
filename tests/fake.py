"""Small coloured pictures with captions, written by our own writer."""

import random
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from data_modules.write import Pair, write_shards

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 30),
    "blue": (30, 60, 220),
    "yellow": (230, 220, 40),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
}
SHAPES = ("square", "circle", "triangle")
PLACES = ("left", "right")


def write_fake_pairs(
    folder: Path,
    count: int,
    seed: int = 0,
    *,
    shard_size: int = 8,
    size: int = 32,
    captions: int = 1,
) -> str:
    """Write `count` pairs, at most 180 of them with different captions; returns the folder."""
    write_shards(
        fake_pairs(count, seed, size=size, captions=captions), folder, shard_size=shard_size
    )
    return str(folder)


def fake_pairs(count: int, seed: int = 0, *, size: int = 32, captions: int = 1) -> Iterator[Pair]:
    kinds = [kind for kind in product(COLOURS, SHAPES, PLACES, COLOURS) if kind[0] != kind[3]]
    random.Random(seed).shuffle(kinds)
    for number in range(count):
        colour, shape, place, ground = kinds[number % len(kinds)]
        texts = [
            f"a {colour} {shape} on the {place} of a {ground} ground",
            f"{ground} ground with a {colour} {shape} on the {place}",
            f"{colour} {shape}, {place}, {ground}",
        ]
        pixels = draw(colour, shape, place, ground, size)
        data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
        yield Pair(f"{seed}-{number:05d}", data, "png", texts[:captions], {})


def draw(colour: str, shape: str, place: str, ground: str, size: int) -> np.ndarray:
    pixels = np.full((size, size, 3), COLOURS[ground], np.uint8)
    x, y, reach = (size // 3 if place == "left" else 2 * size // 3), size // 2, size // 4
    if shape == "circle":
        cv2.circle(pixels, (x, y), reach, COLOURS[colour], -1)
    elif shape == "square":
        cv2.rectangle(pixels, (x - reach, y - reach), (x + reach, y + reach), COLOURS[colour], -1)
    else:
        corners = np.array([(x, y - reach), (x - reach, y + reach), (x + reach, y + reach)])
        cv2.fillPoly(pixels, [corners.astype(np.int32)], COLOURS[colour])
    return pixels
