"""Headers and decoding; the zoo has every odd picture."""

import random
from io import BytesIO

import cv2
import numpy as np
import pytest
import simplejpeg
import zoo_pictures as zoo
from PIL import Image
from zoo_pictures import PICTURE, SIZE, encoded

from data_modules.decode import MAX_PIXELS, decode, open_picture
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


def noise(**options):
    pixels = np.random.default_rng(0).integers(0, 256, (83, 61, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


SUBSAMPLINGS = [{"subsampling": kind, "quality": 80} for kind in (0, 1, 2)]
SAVED = [*SUBSAMPLINGS, {"progressive": True}, {"restart_marker_rows": 1}, {"optimize": True}]


@pytest.mark.parametrize("saved", SAVED)
def test_both_jpeg_decoders_give_the_same_pixels(saved):
    data = noise(**saved)
    other = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(decode(data), other[..., ::-1])


@pytest.mark.parametrize(
    "data",
    [
        *[noise(**saved) for saved in SAVED],
        zoo.turned("JPEG", 6),
        encoded(zoo.GRAY[..., 0]),
        encoded(WIDE, "PNG"),
    ],
)
def test_a_crop_is_that_of_the_whole_picture(data):
    picture = open_picture(data)
    whole = picture.decode()
    height, width = whole.shape[:2]
    sizes = []

    def draw(high, wide):
        sizes.append((high, wide))
        return slice(stop // 2, stop), slice(1, wide)

    for stop in range(1, height + 1):
        assert np.array_equal(picture.decode_crop(draw), whole[stop // 2 : stop, 1:])
    assert set(sizes) == {(height, width)}


def test_rows_below_a_crop_are_not_decoded(monkeypatch):
    seen = []
    original = simplejpeg.decode_jpeg

    def watch(data, **options):
        seen.append(original(data, **options).shape)
        return original(data, **options)

    monkeypatch.setattr(simplejpeg, "decode_jpeg", watch)
    for data in (noise(), noise(progressive=True)):
        open_picture(data).decode_crop(lambda _high, wide: (slice(0, 10), slice(0, wide)))
    assert seen == [(12, 61, 3), (83, 61, 3)]


@pytest.mark.parametrize("size", [(65_501, 32), (32, 65_501)])
def test_a_jpeg_that_no_decoder_takes_whole_is_bad_before_a_part_is_read(size):
    with pytest.raises(BadSample, match="more than a JPEG's side") as raised:
        open_picture(zoo.jpeg_of(*size))
    assert raised.value.reason == Reason.CORRUPT_PICTURE
    assert open_picture(zoo.jpeg_of(65_500, 32)).header.height == 65_500
