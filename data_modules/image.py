"""Pictures: decoded, resized for evaluation, distorted for training.

Pixels are uint8 of shape (H, W, 3), RGB where nothing else is said.
"""

import math
import os
import random
import warnings
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from softmask.errors import InputError

# Its import asks the network for a newer version otherwise.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
import albumentations as A  # type: ignore[import-untyped]

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Distortion:
    """The image half of the augmentation; a probability of 0 leaves its stage out.

    Crop, flip and RandAugment are ALBEF's; jitter, gray and blur those of TCL.

    Args:
        crop_scale: smallest and largest share of the area that a crop keeps.
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


def decode(data: bytes, source: str) -> Pixels:
    """Decode a JPEG, PNG or WebP.

    Args:
        data: the file's bytes.
        source: shard and key, for the error.

    Raises:
        InputError: if it is no whole picture.
    """
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if pixels is None:
        raise InputError(
            f"The picture of {source} cannot be decoded: remove the sample or write it again from "
            "a whole JPEG, PNG or WebP file."
        )
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def evaluate(pixels: Pixels, size: int) -> Pixels:
    """Resize to a square, bicubic as ALBEF does; shrinking more than 2x averages areas instead.

    Without it OpenCV's bicubic would skip pixels.
    """
    shrink = min(pixels.shape[:2]) > 2 * size
    method = cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (size, size), interpolation=method), np.uint8)


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

    Args:
        options: see Distortion.
        size: side of the square it gives, in pixels.

    Raises:
        InputError: if the options hold values out of range.
    """

    def __init__(self, options: Distortion, size: int) -> None:
        try:
            with warnings.catch_warnings():
                # albumentations only warns of arguments that it then ignores.
                warnings.simplefilter("error", UserWarning)
                self._compose = A.Compose(_stages(options, size))
        except (ValueError, UserWarning) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{options} cannot be used: mend the value named here: {reason}"
            ) from error

    def __call__(self, pixels: Pixels, seed: int) -> Pixels:
        """Distort a picture; the same seed gives the same result in every process."""
        # set_random_seed would start every stage with the same draw: flipped would mean blurred.
        self._compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
        return np.ascontiguousarray(self._compose(image=pixels)["image"])


def _stages(options: Distortion, size: int) -> list[A.BasicTransform | A.BaseCompose]:
    brightness, contrast, saturation, hue = options.jitter
    crop = A.RandomResizedCrop(
        (size, size),
        scale=options.crop_scale,
        ratio=options.crop_ratio,
        interpolation=cv2.INTER_CUBIC,
        area_for_downscale="image",
    )
    jitter = A.ColorJitter(brightness, contrast, saturation, hue, p=options.jitter_prob)
    stages = [
        (1.0, crop),
        (options.flip, A.HorizontalFlip(p=options.flip)),
        (options.jitter_prob, jitter),
        (options.gray_prob, A.ToGray(p=options.gray_prob)),
        (options.blur_prob, A.GaussianBlur(0, options.blur_sigma, p=options.blur_prob)),
    ]
    chosen = [stage for probability, stage in stages if probability > 0]
    if options.rand_prob > 0:
        choice = _rand_choices(options.rand_magnitude, options.fill)
        # Each draw chooses among all, so one kind may come twice, as in RandAugment.
        chosen += [A.OneOf(choice, p=options.rand_prob) for _ in range(options.rand_ops)]
    return chosen


def _rand_choices(magnitude: float, fill: int) -> list[A.BasicTransform | A.BaseCompose]:
    level = magnitude / 10
    factor = 0.1 + 1.8 * level
    shear = math.degrees(math.atan(0.3 * level))
    shift = 10 / 256 * level  # 10 pixels at 256

    def both(option: str, low: object, high: object) -> A.OneOf:
        # RandAugment moves by the whole magnitude, one way or the other.
        ways = [A.Affine(**{option: way}, fill=fill, p=1) for way in (low, high)]
        return A.OneOf(ways, p=1)

    return [
        A.NoOp(p=1),
        A.AutoContrast(p=1),
        A.Equalize(p=1),
        A.ColorJitter((factor, factor), (1, 1), (1, 1), (0, 0), p=1),
        _sharpness(factor),
        both("shear", {"x": (-shear, -shear), "y": (0, 0)}, {"x": (shear, shear), "y": (0, 0)}),
        both("shear", {"x": (0, 0), "y": (-shear, -shear)}, {"x": (0, 0), "y": (shear, shear)}),
        both("translate_percent", {"x": -shift, "y": 0}, {"x": shift, "y": 0}),
        both("translate_percent", {"x": 0, "y": -shift}, {"x": 0, "y": shift}),
        both("rotate", (-30 * level, -30 * level), (30 * level, 30 * level)),
    ]


def _sharpness(factor: float) -> A.BasicTransform:
    if factor <= 1:
        return A.NoOp(p=1)
    # This alpha makes the kernel the usual one: factor * picture + (1 - factor) * smoothed.
    alpha = (factor - 1) / 13
    return A.Sharpen((alpha, alpha), (1, 1), method="kernel", p=1)
