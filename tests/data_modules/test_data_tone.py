import random

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torchvision.transforms.v2 import functional as F

from data_modules import tone


@pytest.fixture
def pixels():
    rng = np.random.default_rng(0)
    small = rng.integers(60, 180, (12, 16, 3), np.uint8)
    return cv2.resize(small, (64, 48), interpolation=cv2.INTER_CUBIC)


def oracle(function, pixels, *args):
    """Torchvision's own, on a picture of floats, so that nothing is rounded or cut between."""
    image = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    return function(image, *args).permute(1, 2, 0).numpy() * 255


def mean_of(pixels):
    return np.array([*pixels.mean((0, 1)), 1])


def near(found, expected, within=1.01):
    return np.abs(found.astype(float) - expected).max() <= within


@pytest.mark.parametrize("factor", [0.6, 0.9, 1.3])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_matrices_are_torchvisions(pixels, name, factor):
    matrix = getattr(tone, name)(tone.SAME, factor, mean_of(pixels))
    expected = oracle(getattr(F, f"adjust_{name}"), pixels, factor)
    assert near(tone.colour(pixels, matrix, gray=False), expected, 1.5)


def test_hue_turns_as_torchvisions_does(pixels):
    third = tone.colour(pixels, tone.hue(tone.SAME, 1 / 3, mean_of(pixels)), gray=False)
    assert near(third, oracle(F.adjust_hue, pixels, 1 / 3))
    # Between thirds ours turns in a circle, HSV along a hexagon: the same way, not the same far.
    red = np.full((1, 1, 3), (200, 80, 80), np.uint8)
    for turns in (-0.1, 0.05, 0.1):
        turned = tone.colour(red, tone.hue(tone.SAME, turns, mean_of(red)), gray=False)
        assert near(turned, oracle(F.adjust_hue, red, turns), 45)
        assert (turned[0, 0, 1] > turned[0, 0, 2]) == (turns > 0)


def test_jitter_joins_its_steps_in_their_order(pixels):
    """One pass gives what four passes on floats give."""
    strengths = (0.2, 0.2, 0.2, 0.05)
    for seed in range(20):
        joined = tone.jitter(mean_of(pixels), strengths, random.Random(seed))
        rng = random.Random(seed)
        drawn = [
            (make, rng.uniform(middle - most, middle + most))
            for (make, middle, _), most in zip(tone.STEPS, strengths, strict=True)
        ]
        rng.shuffle(drawn)
        picture = pixels.astype(float)
        for make, amount in drawn:
            step = make(tone.SAME, amount, mean_of(picture))
            picture = picture @ step[:, :3].T + step[:, 3]
        assert near(pixels @ joined[:, :3].T + joined[:, 3], picture, 1e-6)


def test_jitter_without_strength_changes_nothing(pixels):
    matrix = tone.jitter(mean_of(pixels), (0, 0, 0, 0), random.Random(0))
    assert np.array_equal(tone.colour(pixels, matrix, gray=False), pixels)


def test_gray_with_and_without_a_matrix(pixels):
    expected = pixels @ tone.LUMA
    assert near(tone.colour(pixels, None, gray=True), expected)
    assert near(tone.colour(pixels, tone.SAME, gray=True), expected)


def test_autocontrast_is_torchvisions(pixels):
    pixels[..., 2] = 90
    expected = np.asarray(F.autocontrast(Image.fromarray(pixels)))
    assert near(tone.autocontrast(pixels), expected)
    gray = np.ascontiguousarray(pixels[..., 0])
    assert np.array_equal(tone.autocontrast(gray), tone.autocontrast(pixels)[..., 0])


def test_equalize_is_near_torchvisions(pixels):
    expected = np.asarray(F.equalize(Image.fromarray(pixels)))
    assert near(tone.equalize(pixels), expected, 4)
    assert tone.equalize(np.ascontiguousarray(pixels[..., 0])).shape == pixels.shape[:2]


@pytest.mark.parametrize("sigma", [0.6, 1.2, 2.0])
def test_blur_is_gaussian(pixels, sigma):
    expected = cv2.GaussianBlur(pixels.astype(np.float32), (31, 31), sigma)
    assert near(tone.blur(pixels, sigma, sigma), expected, 2)
    pillow = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma)))
    inside = np.s_[8:-8, 8:-8]
    assert near(tone.blur(pixels, sigma, sigma)[inside], pillow[inside], 6)


def test_a_faint_blur_would_change_nothing(pixels):
    assert tone.blur(pixels, 0.2, 0.2) is pixels
    assert near(cv2.GaussianBlur(pixels, (3, 3), tone.FAINT), pixels)
