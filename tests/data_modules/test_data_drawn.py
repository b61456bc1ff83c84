"""What the training augmentation draws: crops and blurs."""

import math
import random
from dataclasses import replace

import cv2
import numpy as np
import pytest
import training

from data_modules.image import Distort
from data_modules.sheet import draw_crop

RATIO = (3 / 4, 3 / 2)


def test_crops_have_every_size_shape_and_place_alike():
    """Up to half of the picture's area, every shape fits."""
    height, width, rng = 300, 400, random.Random(0)
    drawn = []
    for _ in range(3000):
        rows, columns = draw_crop(height, width, (0.2, 0.5), RATIO, rng)
        high, wide = rows.stop - rows.start, columns.stop - columns.start
        shape = math.log(wide / high)
        places = rows.start / (height - high), columns.start / (width - wide)
        drawn.append((high * wide / (height * width), shape, *places))
    values = np.array(drawn)
    ranges = ((0.2, 0.5), tuple(map(math.log, RATIO)), (0, 1), (0, 1))
    for each, (least, most) in zip(values.T, ranges, strict=True):
        span = most - least
        assert np.abs((each.min() - least, each.max() - most)).max() < 0.02 * span
        assert abs(each.mean() - (least + most) / 2) < 0.025 * span
        assert abs(each.std() - span / math.sqrt(12)) < 0.01 * span
    assert np.abs(np.corrcoef(values.T) - np.eye(4)).max() < 0.08


def test_where_no_crop_fits_it_is_the_largest_in_the_middle():
    wide, high = (
        draw_crop(*shape, (0.5, 1), RATIO, random.Random(0)) for shape in ((20, 500), (500, 20))
    )
    assert wide == (slice(0, 20), slice(235, 265))
    assert high == (slice(236, 263), slice(0, 20))


@pytest.fixture
def pixels():
    small = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    return cv2.resize(small, (48, 48), interpolation=cv2.INTER_CUBIC)


def test_blur_is_of_the_sigma_told(pixels):
    distort = Distort(replace(training.STILL, blur_prob=1, blur_sigma=(2, 2)), 48)
    expected = cv2.GaussianBlur(pixels.astype(np.float32), (31, 31), 2)
    assert np.abs(distort(pixels, 0) - expected).max() < 3


def test_blur_comes_as_often_as_told_and_of_every_sigma(pixels):
    distort = Distort(replace(training.STILL, blur_prob=0.5, blur_sigma=(0.5, 2)), 48)
    results = [distort(pixels, seed) for seed in range(200)]
    blurred = [each for each in results if not np.array_equal(each, pixels)]
    assert 65 <= len(blurred) <= 135  # 5 standard deviations
    assert len({each.tobytes() for each in blurred}) == len(blurred)
    contrast = [each.std() for each in blurred]
    weakest, strongest = (
        Distort(replace(training.STILL, blur_prob=1, blur_sigma=(sigma, sigma)), 48)(pixels, 0)
        for sigma in (0.5, 2)
    )
    assert strongest.std() < min(contrast) < max(contrast) < weakest.std()
