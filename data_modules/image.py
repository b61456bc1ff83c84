"""Pictures: resized for evaluation, distorted for training.

Pixels are uint8 of shape (H, W, 3), RGB where nothing else is said.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from data_modules.decode import Crop
from data_modules.decode import Pixels as Pixels
from data_modules.pipeline import Pipeline
from data_modules.sheet import Move, Sheet, centred, draw_crop, shifted, spread_fast
from data_modules.tone import (
    autocontrast,
    brighten,
    colour,
    draw_jitter,
    equalize,
    mirror,
    sharpen,
)
from softmask.errors import InputError

Operation = Callable[[Sheet], object]
"""One change of RandAugment, in place."""


@dataclass(frozen=True)
class Distortion:
    """The image half of the augmentation; a probability of 0 leaves its stage out.

    Crop, flip and RandAugment are ALBEF's; jitter, gray and blur those of TCL.

    Args:
        crop_scale: smallest and largest share of the area that a crop keeps; [1, 1] crops nothing
            and brings the whole picture to the square.
        crop_ratio: smallest and largest width over height of a crop.
        flip: probability of a mirror image.
        jitter: strength of brightness, contrast, saturation, hue.
        jitter_prob: probability of jitter.
        gray_prob: probability of gray.
        blur_sigma: smallest and largest sigma in output pixels, made for 256.
        blur_prob: probability of blur.
        rand_ops: RandAugment's draws; none changes colours, so captions stay true.
        rand_magnitude: RandAugment's strength, 0 to 10.
        rand_prob: probability that a draw is applied.
        fill: gray that turns and shifts bring in, 0 to 255.
        pipeline: file of an albumentations pipeline (`albumentations.save`) that replaces all of
            these, flip included: where captions tell left from right, it must not mirror.
    """

    crop_scale: tuple[float, float] = (0.2, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    jitter_prob: float = 0.8
    gray_prob: float = 0.2
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    blur_prob: float = 0.5
    rand_ops: int = 2
    rand_magnitude: float = 7
    rand_prob: float = 0.5
    fill: int = 128
    pipeline: str | None = None

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else (value,)
            rising = name == "jitter" or list(values) == sorted(values)
            if not rising or not all(least <= each <= most for each in values):
                raise InputError(
                    f"distortion.{name} is {value}: give values from {least:g} to {most:g}"
                    f"{', the smaller one first' if len(values) == 2 else ''}."
                )


RANGES: dict[str, tuple[float, float]] = {
    "crop_scale": (0.01, 1),
    "crop_ratio": (0.1, 10),
    "flip": (0, 1),
    "jitter": (0, 1),
    "jitter_prob": (0, 1),
    "gray_prob": (0, 1),
    "blur_sigma": (0.01, 20),
    "blur_prob": (0, 1),
    "rand_ops": (0, 10),
    "rand_magnitude": (0, 10),
    "rand_prob": (0, 1),
    "fill": (0, 255),
}

WEAK = Distortion(jitter_prob=0, gray_prob=0, blur_prob=0)
"""ALBEF's augmentation: crop, flip and RandAugment."""


def on_white(pixels: np.ndarray[Any, Any]) -> Pixels:
    """Lay a picture with or without transparency on white.

    Args:
        pixels: (H, W), (H, W, 3) or (H, W, 4), uint8 or uint16.

    Returns:
        (H, W, 3) uint8, channels in the order given.
    """
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 2:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8)
    if pixels.shape[2] == 3:
        return np.asarray(pixels, np.uint8)
    alpha = pixels[:, :, 3:].astype(np.float32) / 255
    return np.rint(pixels[:, :, :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


class Distort:
    """The training augmentation, repeatable by seed.

    Small crops are coloured and blurred before they are spread, with the blur that the spreading
    turns into the one drawn; see Sheet.

    Args:
        options: see Distortion.
        size: side of the square it gives, in pixels.
    """

    def __init__(self, options: Distortion, size: int) -> None:
        self.options, self.size = options, size
        self._operations = tuple(operations(options.rand_magnitude, size).values())
        self._own = Pipeline(options.pipeline, size) if options.pipeline else None

    def __call__(self, pixels: Pixels, seed: int) -> Pixels:
        """Distort a picture; the same seed gives the same result in every process."""
        rng = random.Random(seed)
        height, width = pixels.shape[:2]
        sheet = self.cut(pixels[self.crop(height, width, rng)], rng)
        self.change(sheet, rng)
        return sheet.lay()

    def crop(self, height: int, width: int, rng: random.Random) -> Crop:
        """Draw the part of a picture that is needed; the first of three steps."""
        if self._own:
            return slice(0, height), slice(0, width)
        return draw_crop(height, width, self.options.crop_scale, self.options.crop_ratio, rng)

    def cut(self, crop: Pixels, rng: random.Random) -> Sheet:
        """Take what `crop` drew out of the picture, which can go then; mirror it."""
        if self._own:
            return Sheet(self._own(crop, rng.getrandbits(32)), self.size)
        # A copy in either case: one block of memory is quicker to pass over.
        pixels = mirror(crop) if rng.random() < self.options.flip else crop.copy()
        return Sheet(pixels, self.size, self.options.fill, spread_fast)

    @property
    def stages(self) -> Sequence[Callable[[Sheet, random.Random], None]]:
        """What distorts a sheet that `cut` gave, in this order; all but laying it."""
        if self._own:
            return ()
        return self._colour, self._blur, *[self._augment] * self.options.rand_ops

    def change(self, sheet: Sheet, rng: random.Random) -> None:
        """Do all stages."""
        for stage in self.stages:
            stage(sheet, rng)

    def _colour(self, sheet: Sheet, rng: random.Random) -> None:
        matrix = None
        if rng.random() < self.options.jitter_prob:
            jitter = draw_jitter(self.options.jitter, rng)
            matrix = jitter.matrix(cv2.mean(sheet.pixels)[:3])
        gray = rng.random() < self.options.gray_prob
        if matrix is not None or gray:
            sheet.change(partial(colour, matrix=matrix, gray=gray))

    def _blur(self, sheet: Sheet, rng: random.Random) -> None:
        if rng.random() < self.options.blur_prob:
            sheet.blur(rng.uniform(*self.options.blur_sigma))

    def _augment(self, sheet: Sheet, rng: random.Random) -> None:
        if rng.random() < self.options.rand_prob:
            # Each draw chooses among all, so one kind may come twice, as in RandAugment.
            rng.choice(rng.choice(self._operations))(sheet)


def operations(magnitude: float, size: int) -> dict[str, tuple[Operation, ...]]:
    """Give RandAugment's operations; those with two ways move by the whole magnitude in either.

    Args:
        magnitude: 0 to 10.
        size: side of the square in pixels.
    """
    level = magnitude / 10
    factor = 0.1 + 1.8 * level
    shear, turn = 0.3 * level, math.radians(30 * level)
    shift = round(10 / 256 * level * size)  # whole pixels, as torchvision's

    def enhance(function: Callable[[Pixels], Pixels]) -> tuple[Operation, ...]:
        return (partial(Sheet.change, function=function),)

    def moves(make: Callable[[float], Move], by: float) -> tuple[Operation, ...]:
        return tuple(partial(Sheet.move, move=make(way)) for way in (-by, by))

    return {
        "identity": (Sheet.stay,),
        "autocontrast": enhance(autocontrast),
        "equalize": enhance(equalize),
        "brightness": enhance(partial(brighten, factor=factor)),
        "sharpness": (partial(Sheet.change, function=partial(sharpen, factor=factor), late=True),),
        "shear_x": moves(lambda by: centred((1, by, 0, 1), size), shear),
        "shear_y": moves(lambda by: centred((1, 0, by, 1), size), shear),
        "translate_x": moves(lambda by: shifted(by, 0), shift),
        "translate_y": moves(lambda by: shifted(0, by), shift),
        "rotate": moves(lambda by: centred(_turn(by), size), turn),
    }


def _turn(angle: float) -> tuple[float, float, float, float]:
    cosine, sine = math.cos(angle), math.sin(angle)
    return cosine, -sine, sine, cosine
