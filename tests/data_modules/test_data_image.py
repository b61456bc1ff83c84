import pickle
import random
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from data_modules.image import WEAK, Distort, Distortion, on_white, operations
from data_modules.sheet import Sheet, shifted, spread_fast
from softmask.errors import InputError
from softmask.pictures import resize

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


def pillows(pixels, size):
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(
    ("shape", "within"), [((20, 40), 1), ((64, 90), 1), ((32, 32), 0), ((1, 5), 1), ((300, 31), 3)]
)
def test_resize_is_pillows(shape, within):
    """Spread, shrunk, or both; of many pixels torch's weights are rounded more than Pillow's."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (*shape, 3), np.uint8)
    result = resize(pixels, 32)
    assert result.shape == (32, 32, 3)
    assert result.dtype == np.uint8
    assert np.abs(result.astype(int) - pillows(pixels, 32)).max() <= within


def test_resize_averages_when_it_shrinks_much():
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.all(np.abs(resize(stripes, 16).astype(int)[2:-2, 2:-2] - 127) <= 2)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("shape", [(24, 30), (48, 20), (20, 49), (60, 60)])
def test_training_spreads_by_opencv_and_shrinks_by_pillows_rule(pixels, shape, gray):
    crop = cv2.resize(pixels[..., 0] if gray else pixels, shape[::-1])
    laid = Sheet(crop, 48, spread=spread_fast).lay()
    if gray:
        assert (laid == laid[..., :1]).all()
        laid = laid[..., 0]
    if max(shape) <= 48 and cv2.ipp.useIPP():
        expected = cv2.resize(crop, (48, 48), interpolation=cv2.INTER_CUBIC)
        assert np.array_equal(laid, expected)
    else:
        assert np.abs(laid.astype(int) - pillows(crop, 48)).max() <= 2


def test_a_crop_of_the_squares_size_stays(pixels):
    for crop in (pixels, np.ascontiguousarray(pixels[..., 0])):
        out = np.empty_like(crop)
        spread_fast(crop, out)
        assert np.array_equal(out, crop)


@pytest.mark.parametrize("shape", [(36, 40), (20, 60), (64, 63)])
def test_training_spreads_within_a_gray_level_of_pillows_rule(shape):
    """In the mean, on soft colours; edges come out sharper."""
    colours = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    crop = cv2.resize(colours, shape[::-1], interpolation=cv2.INTER_CUBIC)
    laid = cv2.resize(crop, (64, 64), interpolation=cv2.INTER_CUBIC)
    expected = pillows(crop, 64)
    assert np.abs(laid - expected.astype(float)).mean() < 1
    assert cv2.Laplacian(laid, cv2.CV_64F).std() > cv2.Laplacian(expected, cv2.CV_64F).std()


def test_training_spreads_by_pillows_rule_where_opencv_is_slow(pixels, monkeypatch):
    monkeypatch.setattr(cv2.ipp, "useIPP", lambda: False)
    crop, out = pixels[:30, :40].copy(), np.empty((48, 48, 3), np.uint8)
    spread_fast(crop, out)
    assert np.array_equal(out, Sheet(crop, 48).lay())
    assert not np.array_equal(out, cv2.resize(crop, (48, 48), interpolation=cv2.INTER_CUBIC))


def test_a_sheet_is_laid_where_it_is_told_to_and_stays(pixels):
    batch = np.full((3, 32, 32, 3), 9, np.uint8)
    sheet = Sheet(pixels[:20], 32)
    assert np.shares_memory(sheet.lay(batch[1]), batch)
    assert np.array_equal(batch[1], sheet.lay())
    assert (batch[[0, 2]] == 9).all()


@pytest.mark.parametrize("sigma", [0.6, 0.8, 1.0, 1.5, 2.0])
def test_a_small_crop_gets_the_blur_drawn(sigma):
    """Against bicubic spreading and a Gaussian of floats: gray levels, in the mean."""
    colours = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    crop = cv2.resize(colours, (28, 32), interpolation=cv2.INTER_CUBIC)
    sheet = Sheet(crop, 48)
    sheet.blur(sigma)
    inside = np.s_[6:-6, 6:-6]
    plain = resize(crop, 48).astype(np.float32)
    expected = cv2.GaussianBlur(plain, (0, 0), sigma)[inside]
    off = np.abs(sheet.lay()[inside] - expected).mean()
    assert off < 0.6
    assert off < 0.7 * np.abs(plain[inside] - expected).mean()


def test_a_faint_blur_leaves_a_crop_bicubic(pixels):
    sheet = Sheet(pixels[:20, :24], 48)
    sheet.blur(0.4)
    assert np.array_equal(sheet.lay(), resize(pixels[:20, :24], 48))


def test_moves_join_as_matrices_do(pixels):
    """A turn, then a shear: one warp of the product, in either order another one."""
    kinds = operations(7, 48)
    moves = [kinds[name][0].keywords["move"] for name in ("rotate", "shear_x")]
    results = []
    for order in (moves, moves[::-1]):
        sheet = Sheet(pixels, 48, 7)
        for move in order:
            sheet.move(move)
        first, last = (np.vstack([np.reshape(move, (2, 3)), [0, 0, 1]]) for move in order)
        expected = cv2.warpAffine(pixels, (last @ first)[:2], (48, 48), borderValue=(7,) * 3)
        results.append(sheet.lay().astype(int))
        assert np.abs(results[-1] - expected).max() <= 1
    assert np.abs(results[0] - results[1]).max() > 9


@pytest.mark.parametrize(("across", "down"), [(3, 0), (-3, 5), (0, -40), (60, 1)])
@pytest.mark.parametrize("side", [48, 20])
def test_whole_shifts_move_what_a_spread_gives(pixels, side, across, down):
    small = cv2.resize(pixels, (side, side))
    sheet = Sheet(small, 48, 7)
    sheet.move(shifted(across, down))
    expected = np.full((48, 48, 3), 7, np.uint8)
    spread = resize(small, 48)
    for row in range(48):
        for column in range(48):
            if 0 <= row - down < 48 and 0 <= column - across < 48:
                expected[row, column] = spread[row - down, column - across]
    assert np.array_equal(sheet.lay(), expected)


def test_large_crops_are_laid_at_once_and_small_ones_late(pixels):
    assert Sheet(pixels, 40).pixels.shape == (40, 40, 3)
    assert Sheet(pixels, 49).pixels.shape == (48, 48, 3)
    assert Sheet(pixels[:10], 40).pixels.shape == (10, 48, 3)


def test_a_crop_lets_its_picture_go(pixels):
    distort = Distort(replace(Distortion(), flip=0.5), 32)
    for seed in range(8):
        rng = random.Random(seed)
        crop = pixels[distort.crop(48, 48, rng)]
        assert not np.shares_memory(distort.cut(crop, rng).pixels, pixels)


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


def test_zero_probabilities_leave_stages_out(pixels):
    still = replace(WEAK, crop_scale=(1, 1), crop_ratio=(1, 1), flip=0, rand_prob=0)
    results = {Distort(still, 48)(pixels, seed).tobytes() for seed in range(50)}
    assert results == {pixels.tobytes()}
    strengths = {Distort(replace(PLAIN, jitter_prob=1), 48)(pixels, n).tobytes() for n in range(9)}
    assert len(strengths) == 9


def applied(pixels, name, magnitude=7, way=0, fill=0):
    sheet = Sheet(pixels, len(pixels), fill)
    operations(magnitude, len(pixels))[name][way](sheet)
    return sheet.lay()


def test_magnitudes_are_those_of_rand_augment():
    size = 256
    grid = np.zeros((size, size, 3), np.uint8)
    grid[:, 128] = 255
    shear_x, shift_x, turn = (applied(grid, n) for n in ("shear_x", "translate_x", "rotate"))
    assert shift_x[128].argmax() // 3 in (120, 121, 122)
    top, bottom = (int(shear_x[row, :, 0].argmax()) for row in (10, 245))
    assert abs(abs(top - bottom) - 0.21 * 235) < 2
    rows = (60, 195)
    top, bottom = (int(turn[row, :, 0].argmax()) for row in rows)
    assert abs(np.degrees(np.arctan(abs(top - bottom) / 135)) - 21) < 1


def test_both_ways_are_taken_and_undo_each_other(pixels):
    for name, ways in operations(7, 48).items():
        moves = name.startswith(("shear", "translate", "rotate"))
        assert len(ways) == (2 if moves else 1)
        if moves:
            there, back = (applied(pixels, name, way=way) for way in (0, 1))
            assert not np.array_equal(there, back)
            sheet = Sheet(pixels, 48, 0)
            for way in ways:
                way(sheet)
            assert np.abs(sheet.lay().astype(int) - pixels).max() <= 1


def test_enhancements_are_those_of_rand_augment(pixels):
    bright, sharp = applied(pixels, "brightness"), applied(pixels, "sharpness")
    assert np.abs(bright - np.clip(pixels.astype(np.float64) * 1.36, 0, 255)).max() <= 1
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smooth = cv2.filter2D(pixels.astype(np.float64), -1, kernel)
    expected = np.clip(1.36 * pixels - 0.36 * smooth, 0, 255)[1:-1, 1:-1]
    assert np.abs(sharp[1:-1, 1:-1] - expected).max() <= 1


def test_fill(pixels):
    turned = applied(pixels, "rotate", magnitude=10, fill=37)
    assert turned[0, 0].tolist() == [37] * 3 or turned[-1, 0].tolist() == [37] * 3


def test_distort_pickles(pixels):
    distort = Distort(Distortion(), 32)
    again = pickle.loads(pickle.dumps(distort))
    assert all(np.array_equal(again(pixels, n), distort(pixels, n)) for n in range(30))


def test_gray_pictures_and_extreme_shapes_come_out_square(pixels):
    distort = Distort(replace(Distortion(), gray_prob=0.5), 32)
    for shape in ((1, 1), (1, 200), (200, 1), (33, 31), (500, 20)):
        odd = cv2.resize(pixels, shape)
        for seed in range(30):
            assert distort(odd, seed).shape == (32, 32, 3)


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
