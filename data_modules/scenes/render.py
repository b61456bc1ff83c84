"""Scenes as pictures. Pixels are uint8 of shape (H, W, 3) in OpenCV's order, BGR."""

import colorsys
import random
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from data_modules.emoji import drawings_folder, read_drawing
from data_modules.scenes.geometry import Box
from data_modules.scenes.vocabulary import Thing

PALE = (0.05, 0.22)  # saturation of backgrounds, so that no thing drowns in one
BRIGHT = (0.82, 0.97)
GRAYS = (96, 150)  # of the curtain's stripes


class Placed(NamedTuple):
    """A thing and where it is."""

    thing: Thing
    box: Box


class Scene(NamedTuple):
    """All that is seen."""

    size: int  # side in pixels
    objects: tuple[Placed, ...]
    curtain: Box | None
    look: int  # seed of the background, and of what is drawn over what


class Drawings:
    """The drawings, cut to what is drawn, each read once."""

    def __init__(self) -> None:
        self._folder = drawings_folder()
        self._read: dict[str, NDArray[np.float32]] = {}

    def ratio(self, thing: Thing) -> float:
        """Give the width of a thing's drawing over its height."""
        height, width = self.pixels(thing).shape[:2]
        return float(width / height)

    def pixels(self, thing: Thing) -> NDArray[np.float32]:
        """Give a drawing, (H, W, 4): colours times opacity, and opacity from 0 to 1."""
        if thing.picture not in self._read:
            self._read[thing.picture] = _cut(self._folder / thing.picture)
        return self._read[thing.picture]


def render(scene: Scene, drawings: Drawings) -> bytes:
    """Draw a scene as PNG."""
    draw = random.Random(scene.look)
    pixels = _background(draw, scene.size)
    for thing, box in draw.sample(scene.objects, len(scene.objects)):
        small = cv2.resize(drawings.pixels(thing), (box.w, box.h), interpolation=cv2.INTER_AREA)
        place = pixels[box.y : box.y + box.h, box.x : box.x + box.w]
        place *= 1 - small[..., 3:]
        place += small[..., :3]
    if scene.curtain is not None:
        _hang(pixels, scene.curtain)
    rounded = (pixels + 0.5).astype(np.uint8)  # a mix of colours leaves no range
    return cv2.imencode(".png", rounded, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def _cut(file: Path) -> NDArray[np.float32]:
    pixels = read_drawing(file).astype(np.float32)
    rows, columns = np.nonzero(pixels[..., 3] > 127)
    pixels = pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    opacity = pixels[..., 3:] / 255
    return np.dstack([pixels[..., :3] * opacity, opacity])


def _background(draw: random.Random, size: int) -> NDArray[np.float32]:
    """Draw something pale: plain, or one of four patterns of two like colours."""
    one, other = _pale(draw), _pale(draw)
    second = _pattern(draw, size, draw.randint(size // 12, size // 6)).astype(np.float32)
    return np.array(np.broadcast_to(one + (other - one) * second, (size, size, 3)))


def _pattern(draw: random.Random, size: int, step: int) -> NDArray[Any]:
    """Give the second colour's share, that broadcasts to (size, size, 1)."""
    rows = np.arange(size)[:, None, None]
    columns = np.arange(size)[:, None]
    kind = draw.randrange(6)
    if kind <= 1:
        return np.zeros((1, 1, 1))
    if kind == 2:
        return (rows if draw.random() < 0.5 else columns) / size
    if kind == 3:
        return (rows + columns * draw.choice((-1, 0, 1))) // step % 2
    if kind == 4:
        return (rows // step + columns // step) % 2
    across, down = columns % step - step / 2, rows % step - step / 2
    return across**2 + down**2 < (step / 3) ** 2


def _pale(draw: random.Random) -> NDArray[np.float32]:
    rgb = colorsys.hsv_to_rgb(draw.random(), draw.uniform(*PALE), draw.uniform(*BRIGHT))
    return np.float32(255) * np.array(rgb[::-1], np.float32)


def _hang(pixels: NDArray[np.float32], box: Box) -> None:
    stripe = max(2, pixels.shape[0] // 24)
    columns = np.arange(box.x, box.x + box.w) // stripe % 2
    grays = np.where(columns, *GRAYS).astype(np.float32)
    pixels[box.y : box.y + box.h, box.x : box.x + box.w] = grays[None, :, None]
