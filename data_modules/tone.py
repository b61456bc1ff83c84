"""Colours, sharpness and sides of training pictures.

P is a picture, (H, W, 3) RGB or (H, W) gray, uint8. Changes that are linear in the colours join in
one matrix, (3, 4) with the offset last, so that any number of them costs one pass over P.
"""

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from data_modules.decode import Pixels

LUMA = (0.299, 0.587, 0.114)
FAINT = 0.25  # a blur of less than this sigma in pixels changes nothing that 8 bits hold
THREE = 0.25  # more than this beside the middle is no hill any more


class Jitter(NamedTuple):
    """Four changes of colour in a row, each as torchvision's but without a cut between them.

    Each is linear, and brightness and contrast, which treat all colours alike, change places with
    the others. So two questions are all that their order leaves.
    """

    brightness: float = 1.0
    """Times all colours."""
    contrast: float = 1.0
    """Blends with the picture's mean gray."""
    saturation: float = 1.0
    """Blends with the gray picture."""
    hue: float = 0.0
    """Turns about the gray axis; a third makes red green."""
    hue_before_contrast: bool = False
    hue_before_saturation: bool = False

    def matrix(self, mean: Sequence[float]) -> list[list[float]]:
        """Join all in (3, 4), plain numbers: arrays this small cost more than what they compute.

        Args:
            mean: of the picture's red, green and blue.
        """
        even = (1 - math.cos(2 * math.pi * self.hue)) / 3
        odd = math.sin(2 * math.pi * self.hue) / math.sqrt(3)
        own, after, before = 1 - 2 * even, even - odd, even + odd
        red, green, blue = LUMA
        # What turned colours look like in gray.
        turned = (
            red * own + green * before + blue * after,
            red * after + green * own + blue * before,
            red * before + green * after + blue * own,
        )
        kept, lost = self.saturation, 1 - self.saturation
        r, g, b = (lost * each for each in (turned if self.hue_before_saturation else LUMA))
        rows = (
            (kept * own + r, kept * after + g, kept * before + b),
            (kept * before + r, kept * own + g, kept * after + b),
            (kept * after + r, kept * before + g, kept * own + b),
        )
        # The gray that contrast blends with: of `rows` if they come before, and saturation alone
        # would leave it as it is.
        shade = LUMA
        if self.hue_before_contrast:
            shade = kept * turned[0] + r, kept * turned[1] + g, kept * turned[2] + b
        gray = shade[0] * mean[0] + shade[1] * mean[1] + shade[2] * mean[2]
        gain, offset = self.brightness * self.contrast, self.brightness * (1 - self.contrast) * gray
        return [[gain * x, gain * y, gain * z, offset] for x, y, z in rows]


def draw_jitter(strengths: tuple[float, float, float, float], rng: random.Random) -> Jitter:
    """Draw brightness, contrast, saturation and hue and their order.

    Args:
        strengths: of the four.
        rng: of the picture.
    """
    brightness, contrast, saturation, hue = strengths
    places = [rng.random() for _ in ("contrast", "saturation", "hue")]
    return Jitter(
        brightness=rng.uniform(max(0, 1 - brightness), 1 + brightness),
        contrast=rng.uniform(max(0, 1 - contrast), 1 + contrast),
        saturation=rng.uniform(max(0, 1 - saturation), 1 + saturation),
        hue=rng.uniform(-hue, hue),
        hue_before_contrast=places[2] < places[0],
        hue_before_saturation=places[2] < places[1],
    )


def colour(pixels: Pixels, matrix: list[list[float]] | None, *, gray: bool) -> Pixels:
    """Apply a matrix of colours to (H, W, 3), then make it gray, (H, W), where wanted."""
    if matrix is not None:
        pixels = np.asarray(cv2.transform(pixels, np.array(matrix)), np.uint8)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8) if gray else pixels


def mirror(pixels: Pixels) -> Pixels:
    """Swap left and right of P."""
    return np.asarray(cv2.flip(pixels, 1), np.uint8)


def blur(pixels: Pixels, sigma_x: float, sigma_y: float) -> Pixels:
    """Blur P by a Gaussian of 2.5 sigma to each side, by three weights where sigma is small."""
    if max(sigma_x, sigma_y) < FAINT:
        return pixels
    return np.asarray(cv2.sepFilter2D(pixels, -1, _weights(sigma_x), _weights(sigma_y)), np.uint8)


def _weights(sigma: float) -> NDArray[np.float64]:
    side = sigma * sigma / 2
    if side <= THREE:  # of the same variance: closer than samples of so narrow a Gaussian
        return np.array([side, 1 - 2 * side, side])
    return np.asarray(cv2.getGaussianKernel(2 * math.ceil(2.5 * sigma) + 1, sigma), np.float64)


def autocontrast(pixels: Pixels) -> Pixels:
    """Stretch each channel of P to 0..255; an even channel stays."""
    flat = pixels.reshape(len(pixels), -1)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    lows = flat.min(0).reshape(-1, channels).min(0).tolist()
    highs = flat.max(0).reshape(-1, channels).max(0).tolist()
    matrix = np.zeros((channels, channels + 1))
    for channel, (low, high) in enumerate(zip(lows, highs, strict=True)):
        scale, offset = (255 / (high - low), low) if high > low else (1, 0)
        matrix[channel, channel], matrix[channel, -1] = scale, -offset * scale
    return np.asarray(cv2.transform(pixels, matrix), np.uint8)


def equalize(pixels: Pixels) -> Pixels:
    """Spread each channel of P evenly over 0..255."""
    channels = [cv2.equalizeHist(channel, dst=channel) for channel in cv2.split(pixels)]
    return np.asarray(cv2.merge(channels), np.uint8)


def brighten(pixels: Pixels, factor: float) -> Pixels:
    """Multiply P."""
    return np.asarray(cv2.convertScaleAbs(pixels, alpha=factor), np.uint8)


def sharpen(pixels: Pixels, factor: float) -> Pixels:
    """Blend P with itself smoothed, as PIL does: factor * P + (1 - factor) * smooth.

    Of smooth's weights, 5 / 13 in the middle and 1 / 13 around, 9 / 13 are an even mean.
    """
    mean = cv2.blur(pixels, (3, 3))
    share = (1 - factor) * 9 / 13
    return np.asarray(cv2.addWeighted(pixels, 1 - share, mean, share, 0, dst=mean), np.uint8)
