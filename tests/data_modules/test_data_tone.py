import random
from collections import Counter
from itertools import permutations

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
    return pixels.mean((0, 1)).tolist()


def near(found, expected, within=1.01):
    return np.abs(found.astype(float) - expected).max() <= within


@pytest.mark.parametrize("factor", [0.6, 0.9, 1.3])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_matrices_are_torchvisions(pixels, name, factor):
    matrix = tone.Jitter(**{name: factor}).matrix(mean_of(pixels))
    expected = oracle(getattr(F, f"adjust_{name}"), pixels, factor)
    assert near(tone.colour(pixels, matrix, gray=False), expected, 1.5)


def turned(pixels, turns):
    matrix = tone.Jitter(hue=turns).matrix(mean_of(pixels))
    return tone.colour(pixels, matrix, gray=False)


def test_hue_turns_as_torchvisions_does(pixels):
    assert near(turned(pixels, 1 / 3), oracle(F.adjust_hue, pixels, 1 / 3))
    # Between thirds ours turns in a circle, HSV along a hexagon: the same way, not the same far.
    red = np.full((1, 1, 3), (200, 80, 80), np.uint8)
    for turns in (-0.1, 0.05, 0.1):
        found = turned(red, turns)
        assert near(found, oracle(F.adjust_hue, red, turns), 45)
        assert (found[0, 0, 1] > found[0, 0, 2]) == (turns > 0)


def in_turn(pixels, jitter, order):
    """Four passes on floats, each as its definition says."""
    picture = pixels.astype(float)
    for name in order:
        amount = getattr(jitter, name)
        gray = (picture @ tone.LUMA)[..., None]
        if name == "brightness":
            picture = amount * picture
        elif name == "contrast":
            picture = amount * picture + (1 - amount) * gray.mean()
        elif name == "saturation":
            picture = amount * picture + (1 - amount) * gray
        else:
            picture = picture @ np.array(tone.Jitter(hue=amount).matrix([0, 0, 0]))[:, :3].T
    return picture


@pytest.mark.parametrize("order", [*permutations(["brightness", "contrast", "saturation", "hue"])])
def test_one_matrix_is_four_changes_in_any_order(pixels, order):
    jitter = tone.Jitter(
        1.3,
        0.7,
        1.4,
        -0.08,
        hue_before_contrast=order.index("hue") < order.index("contrast"),
        hue_before_saturation=order.index("hue") < order.index("saturation"),
    )
    matrix = np.array(jitter.matrix(mean_of(pixels)))
    found = pixels @ matrix[:, :3].T + matrix[:, 3]
    assert near(found, in_turn(pixels, jitter, order), 1e-6)


def test_jitter_is_drawn_evenly_and_all_orders_come():
    strengths = (0.4, 0.2, 1.0, 0.1)
    rng = random.Random(0)
    drawn = [tone.draw_jitter(strengths, rng) for _ in range(3000)]
    middles = (1, 1, 1, 0)
    for number, (middle, most) in enumerate(zip(middles, strengths, strict=True)):
        values = np.array([each[number] for each in drawn])
        assert values.min() >= middle - most
        assert values.max() <= middle + most
        assert abs(values.mean() - middle) < 0.05 * most
        assert abs(values.std() - most / np.sqrt(3)) < 0.05 * most
    # Of three in an even order, one is before the other two in a third of the cases.
    orders = Counter((each.hue_before_contrast, each.hue_before_saturation) for each in drawn)
    for both, share in {(True, True): 1 / 3, (False, False): 1 / 3, (True, False): 1 / 6}.items():
        assert abs(orders[both] - 3000 * share) < 4.5 * np.sqrt(3000 * share * (1 - share))


def test_jitter_without_strength_changes_nothing(pixels):
    matrix = tone.draw_jitter((0, 0, 0, 0), random.Random(0)).matrix(mean_of(pixels))
    assert np.array_equal(tone.colour(pixels, matrix, gray=False), pixels)


def test_gray_with_and_without_a_matrix(pixels):
    expected = pixels @ tone.LUMA
    assert near(tone.colour(pixels, None, gray=True), expected)
    matrix = tone.Jitter(brightness=0.5).matrix(mean_of(pixels))
    assert near(tone.colour(pixels, matrix, gray=True), expected / 2)


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
