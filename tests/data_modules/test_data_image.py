import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest
from fake import draw

from data_modules import image as module
from data_modules.image import WEAK, Distort, Distortion, decode, evaluate, on_white
from softmask.errors import InputError

PLAIN = Distortion(
    crop_scale=(1, 1),
    crop_ratio=(1, 1),
    flip=0,
    jitter_prob=0,
    gray_prob=0,
    blur_prob=0,
    rand_ops=0,
)


@pytest.fixture
def pixels():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (12, 12, 3), np.uint8)
    return cv2.resize(small, (48, 48), interpolation=cv2.INTER_CUBIC)


def test_decode_gives_rgb():
    red = draw("red", "square", "left", "red", 8)
    data = cv2.imencode(".png", cv2.cvtColor(red, cv2.COLOR_RGB2BGR))[1].tobytes()
    assert np.array_equal(decode(data, "x"), red)
    assert decode(data, "x").dtype == np.uint8


@pytest.mark.parametrize("data", [b"", b"no picture", b"\xff\xd8\xff\xe0 cut"])
def test_undecodable(data):
    with pytest.raises(InputError, match=r"picture of sample 'a' of b\.tar cannot be decoded"):
        decode(data, "sample 'a' of b.tar")


def test_evaluate_is_a_square_resize():
    wide = draw("red", "square", "left", "blue", 40)[10:30]
    result = evaluate(wide, 32)
    assert result.shape == (32, 32, 3)
    assert result.dtype == np.uint8
    assert np.array_equal(result, cv2.resize(wide, (32, 32), interpolation=cv2.INTER_CUBIC))


def test_evaluate_averages_when_it_shrinks_much():
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.all(np.abs(evaluate(stripes, 16).astype(int) - 127) <= 1)


def test_on_white():
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = [0, 255, 51]
    assert on_white(pixels)[0, :, 0].tolist() == [255, 0, 204]
    assert on_white(np.full((2, 2), 7, np.uint8)).tolist() == [[[7] * 3] * 2] * 2
    assert on_white(np.full((1, 1, 3), 0x1234, np.uint16)).tolist() == [[[0x12] * 3]]


def test_same_seed_same_picture_other_seed_another(pixels):
    first, second = Distort(Distortion(), 32), Distort(Distortion(), 32)
    results = [first(pixels, seed) for seed in range(20)]
    again = [second(pixels, seed) for seed in reversed(range(20))]
    assert all(np.array_equal(a, b) for a, b in zip(results, reversed(again), strict=True))
    assert len({result.tobytes() for result in results}) == 20
    assert all(result.shape == (32, 32, 3) and result.dtype == np.uint8 for result in results)
    assert all(result.flags["C_CONTIGUOUS"] for result in results)


def test_input_stays(pixels):
    before = pixels.copy()
    for seed in range(30):
        Distort(Distortion(), 32)(pixels, seed)
    assert np.array_equal(pixels, before)


def test_stages_fire_independently(pixels):
    """With one seed for all stages, flips and grays would come together."""
    distort = Distort(replace(PLAIN, flip=0.5, gray_prob=0.5), 48)
    gray = lambda p: np.all(p[..., 0] == p[..., 1])  # noqa: E731
    mean = pixels.mean(-1)
    table = np.zeros((2, 2), int)
    for seed in range(400):
        result = distort(pixels, seed)
        flat = result.mean(-1)
        flipped = np.abs(flat[:, ::-1] - mean).sum() < np.abs(flat - mean).sum()
        table[int(flipped), int(gray(result))] += 1
    # 100 are expected in each cell; 5 standard deviations are 43.
    assert np.all(np.abs(table - 100) < 43)


def test_two_draws_of_rand_augment_differ(pixels):
    """With one seed for all stages, both draws would choose the same operation."""
    one = Distort(replace(PLAIN, rand_ops=1, rand_prob=1), 48)
    two = Distort(replace(PLAIN, rand_ops=2, rand_prob=1), 48)
    results_one = {one(pixels, seed).tobytes() for seed in range(300)}
    results_two = {two(pixels, seed).tobytes() for seed in range(300)}
    # 15 single results at most: identity, 4 enhancements, 5 moves of two ways.
    assert 12 <= len(results_one) <= 15
    assert len(results_two) > 60


def test_no_stages_is_a_plain_picture(pixels):
    assert np.array_equal(Distort(PLAIN, 48)(pixels, 3), pixels)


def test_zero_probabilities_leave_stages_out():
    names = [type(stage).__name__ for stage in module._stages(WEAK, 32)]
    assert names == ["RandomResizedCrop", "HorizontalFlip", "OneOf", "OneOf"]
    names = [type(stage).__name__ for stage in module._stages(Distortion(), 32)]
    assert names[2:5] == ["ColorJitter", "ToGray", "GaussianBlur"]
    assert len(module._stages(PLAIN, 32)) == 1


def test_magnitudes_are_those_of_rand_augment():
    size = 256
    grid = np.zeros((size, size, 3), np.uint8)
    grid[:, 128] = 255
    choices = module._rand_choices(7, 0)
    left = [c.transforms[0](image=grid)["image"] for c in choices[5:]]
    shear_x, _, shift_x, _, turn = left
    assert shift_x[128].argmax() // 3 in (120, 121, 122)
    top, bottom = (int(shear_x[row, :, 0].argmax()) for row in (10, 245))
    assert abs(abs(top - bottom) - 0.21 * 235) < 2
    rows = (60, 195)
    top, bottom = (int(turn[row, :, 0].argmax()) for row in rows)
    assert abs(np.degrees(np.arctan(abs(top - bottom) / 135)) - 21) < 1


def test_enhancements_are_those_of_rand_augment(pixels):
    _, _, _, bright, sharp = module._rand_choices(7, 0)[:5]
    expected = np.clip(pixels.astype(np.float64) * 1.36, 0, 255)
    assert np.abs(bright(image=pixels)["image"] - expected).max() <= 1
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smooth = cv2.filter2D(pixels.astype(np.float64), -1, kernel)
    expected = np.clip(1.36 * pixels - 0.36 * smooth, 0, 255)[1:-1, 1:-1]
    assert np.abs(sharp(image=pixels)["image"][1:-1, 1:-1] - expected).max() <= 1


def test_fill(pixels):
    turned = module._rand_choices(10, 37)[9](image=pixels)["image"]
    assert turned[0, 0].tolist() == [37] * 3 or turned[-1, 0].tolist() == [37] * 3


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"crop_scale": (0.2, 3.0)}, r"crop_scale is \(0.2, 3.0\): .* 0.01 to 1"),
        ({"crop_scale": (1.0, 0.2)}, "smaller one first"),
        ({"flip": 1.5}, "flip is 1.5: .* 0 to 1"),
        ({"jitter": (-1.0, 0.4, 0.4, 0.1)}, "jitter is"),
        ({"rand_prob": 7}, "rand_prob is 7"),
        ({"fill": 256}, "fill is 256"),
        ({"rand_ops": -1}, "rand_ops is -1"),
    ],
)
def test_values_out_of_range(wrong, words):
    with pytest.raises(InputError, match=words):
        replace(Distortion(), **wrong)


def test_an_ignored_argument_is_an_error(monkeypatch):
    def stages(*_):
        warnings.warn("Argument(s) 'sigma' are not valid for transform", UserWarning, stacklevel=2)
        return []

    monkeypatch.setattr(module, "_stages", stages)
    with pytest.raises(InputError, match="not valid"):
        Distort(Distortion(), 32)
