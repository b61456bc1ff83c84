"""Headers and decoding; the zoo has every odd picture."""

import random

import numpy as np
import pytest
import zoo_pictures as zoo
from zoo_pictures import PICTURE, SIZE, encoded

from data_modules.decode import MAX_PIXELS, decode
from data_modules.headers import read_header
from data_modules.reasons import BadSample, Mend, Reason

WIDE = np.concatenate([PICTURE, PICTURE[:, :10]], axis=1)
BIG = np.kron(PICTURE, np.ones((8, 8, 1), np.uint8))
KINDS = ("JPEG", "PNG", "WEBP", "GIF")


@pytest.mark.parametrize("kind", KINDS)
def test_headers_give_the_size(kind):
    header = read_header(encoded(WIDE, kind))
    assert (header.kind, header.width, header.height) == (kind, SIZE + 10, SIZE)


def test_headers_of_other_webps_give_the_size():
    for data in (
        encoded(WIDE, "WEBP", lossless=True),
        zoo.turned("WEBP", 3),
        encoded(WIDE, "WEBP", save_all=True, append_images=[]),
    ):
        header = read_header(data)
        pixels = decode(data)
        assert (header.height, header.width) == pixels.shape[:2]


def test_decode_gives_rgb():
    assert np.array_equal(decode(encoded(PICTURE, "PNG")), PICTURE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_limit_is_the_last_size_that_passes(kind):
    data = encoded(WIDE, kind)
    assert decode(data, max_pixels=WIDE[..., 0].size).shape == WIDE.shape
    with pytest.raises(BadSample) as bad:
        decode(data, max_pixels=WIDE[..., 0].size - 1)
    assert bad.value.reason == Reason.TOO_MANY_PIXELS
    assert MAX_PIXELS == 89_000_000


def test_a_gif_frame_larger_than_its_screen_is_no_way_round_the_limit():
    data = bytearray(encoded(WIDE, "GIF"))
    data[6:10] = b"\x02\0\x02\0"
    with pytest.raises(BadSample):
        decode(bytes(data), max_pixels=5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", np.linspace(0.1, 0.98, 23))
def test_no_cut_picture_passes(kind, share):
    with pytest.raises(BadSample) as bad:
        decode(zoo.cut(encoded(BIG, kind), share))
    assert bad.value.reason == Reason.CORRUPT_PICTURE


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_a_reason_or_a_picture_and_nothing_else(kind):
    whole = encoded(PICTURE, kind)
    odd = [whole, zoo.turned(kind, 6)] if kind != "GIF" else [whole]
    order = random.Random(0)
    for _ in range(150):
        data = bytearray(order.choice(odd))
        for _ in range(order.randint(1, 4)):
            data[order.randrange(min(len(data), 200))] = order.randrange(256)
        try:
            pixels = decode(bytes(data), max_pixels=100_000)
        except BadSample:
            continue
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3
        assert pixels[..., 0].size <= 100_000


def test_a_usual_picture_needs_no_mending():
    assert read_header(encoded(PICTURE)).mends == frozenset()
    assert read_header(encoded(zoo.GRAY[..., 0])).mends == {Mend.GRAY}


@pytest.mark.parametrize("data", [zoo.thumbnail_then_cut(), encoded(PICTURE)[:-2]])
def test_a_jpeg_without_its_end_is_refused_before_a_decoder_fills_it(data):
    with pytest.raises(BadSample) as bad:
        read_header(data)
    assert "its end is missing" in bad.value.detail
