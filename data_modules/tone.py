"""Colours, sharpness and sides of training pictures.

P is a picture, (H, W, 3) RGB or (H, W) gray, uint8. Changes that are linear in the colours are kept
as matrices, (3, 4) with the offset last, so that any number of them costs one pass over P.
"""

import math
import random
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from data_modules.decode import Pixels

Matrix = NDArray[np.float64]

LUMA = np.array([0.299, 0.587, 0.114])
SAME = np.eye(3, 4)
EVEN = np.full((3, 3), 1 / 3)
UPRIGHT = np.eye(3) - EVEN
# Turns the plane of colours by a right angle about the gray axis.
QUARTER = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
FAINT = 0.25  # a blur of less than this sigma in pixels changes nothing that 8 bits hold


def brightness(made: Matrix, factor: float, mean: Matrix) -> Matrix:  # noqa: ARG001 (as below)
    """Blend what a matrix makes with black."""
    return made * factor


def contrast(made: Matrix, factor: float, mean: Matrix) -> Matrix:
    """Blend it with its mean gray."""
    blended = made * factor
    blended[:, 3] += (1 - factor) * float(LUMA @ (made @ mean))
    return blended


def saturation(made: Matrix, factor: float, mean: Matrix) -> Matrix:  # noqa: ARG001 (as above)
    """Blend it with its gray picture."""
    blended: Matrix = made * factor + (1 - factor) * (LUMA @ made)
    return blended


def hue(made: Matrix, turns: float, mean: Matrix) -> Matrix:  # noqa: ARG001 (as above)
    """Turn its colours about the gray axis; a third makes red green."""
    angle = 2 * math.pi * turns
    turned: Matrix = (math.cos(angle) * UPRIGHT + EVEN + math.sin(angle) * QUARTER) @ made
    return turned


def jitter(mean: Matrix, strengths: Sequence[float], rng: random.Random) -> Matrix:
    """Draw brightness, contrast, saturation and hue, and join them in a drawn order.

    Args:
        mean: of the picture's colours, then 1, (4,): contrast blends with it.
        strengths: of the four; 0 leaves one out.
        rng: of the picture.
    """
    steps = [
        (step, rng.uniform(max(least, middle - most), middle + most))
        for (step, middle, least), most in zip(STEPS, strengths, strict=True)
        if most > 0
    ]
    rng.shuffle(steps)
    joined = SAME
    for step, amount in steps:
        joined = step(joined, amount, mean)
    return joined


def colour(pixels: Pixels, matrix: Matrix | None, *, gray: bool) -> Pixels:
    """Apply a matrix of colours to (H, W, 3), and make it gray, (H, W), in the same pass."""
    if matrix is None:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8) if gray else pixels
    return np.asarray(cv2.transform(pixels, LUMA[None] @ matrix if gray else matrix), np.uint8)


def mirror(pixels: Pixels) -> Pixels:
    """Swap left and right of P."""
    return np.asarray(cv2.flip(pixels, 1), np.uint8)


def blur(pixels: Pixels, sigma_x: float, sigma_y: float) -> Pixels:
    """Blur P by a Gaussian of 2.5 sigma to each side."""
    if max(sigma_x, sigma_y) < FAINT:
        return pixels
    across, down = (
        cv2.getGaussianKernel(2 * math.ceil(2.5 * sigma) + 1, sigma) for sigma in (sigma_x, sigma_y)
    )
    return np.asarray(cv2.sepFilter2D(pixels, -1, across, down), np.uint8)


def autocontrast(pixels: Pixels) -> Pixels:
    """Stretch each channel of P to 0..255; an even channel stays."""
    flat = pixels.reshape(len(pixels), -1)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    low = flat.min(0).reshape(-1, channels).min(0).astype(np.float64)
    high = flat.max(0).reshape(-1, channels).max(0).astype(np.float64)
    even = high <= low
    scale = np.where(even, 1.0, 255 / np.where(even, 1.0, high - low))
    offset = np.where(even, 0.0, -low * scale)
    return np.asarray(cv2.transform(pixels, np.column_stack([np.diag(scale), offset])), np.uint8)


def equalize(pixels: Pixels) -> Pixels:
    """Spread each channel of P evenly over 0..255."""
    channels = [cv2.equalizeHist(channel) for channel in cv2.split(pixels)]
    return np.asarray(cv2.merge(channels), np.uint8)


def brighten(pixels: Pixels, factor: float) -> Pixels:
    """Multiply P."""
    return np.asarray(cv2.convertScaleAbs(pixels, alpha=factor), np.uint8)


def sharpen(pixels: Pixels, factor: float) -> Pixels:
    """Blend P with itself smoothed, as PIL does: factor * P + (1 - factor) * smooth."""
    smooth = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    kernel = (1 - factor) * smooth
    kernel[1, 1] += factor
    return np.asarray(cv2.filter2D(pixels, -1, kernel), np.uint8)


# What a draw does, the amount that changes nothing, and the least amount.
STEPS = ((brightness, 1, 0), (contrast, 1, 0), (saturation, 1, 0), (hue, 0, -1))
