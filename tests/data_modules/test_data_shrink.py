"""Pictures as they are stored: shrunken ones look as training would have seen the large ones."""

import cv2
import numpy as np
import pytest
from fake import draw
from PIL import Image
from zoo_pictures import (
    ALPHA,
    GRAY,
    ON_WHITE,
    PICTURE,
    TURNS,
    encoded,
    palette_with_alpha,
    transparent,
    transparent_gif,
    turned,
)

from data_modules import shrink as shrink_module
from data_modules.decode import decode
from data_modules.reasons import BadSample
from data_modules.shrink import shrink


def stored(pixels, extension=".png"):
    return cv2.imencode(extension, pixels)[1].tobytes()


def test_shrink():
    large = draw("red", "circle", "left", "blue", 100)[:50]
    data, extension = shrink(stored(large), 20, 90, "a.PNG")
    assert extension == "jpg"
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (20, 40, 3)
    for side in (0, 50, 60):
        assert shrink(stored(large), side, 90, "a.PNG") == (stored(large), "png")
    data, extension = shrink(stored(large, ".bmp"), 0, 90, "a.bmp")
    assert extension == "jpg"
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == large.shape
    low, _ = shrink(stored(large), 20, 10, "a.png")
    high, _ = shrink(stored(large), 20, 95, "a.png")
    assert len(low) < len(high)


def test_transparent_pictures_come_on_white():
    clear = np.zeros((10, 10, 4), np.uint8)
    data, extension = shrink(stored(clear), 20, 90, "a.png")
    assert extension == "jpg"
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).min() >= 250


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize(
    ("kind", "name"),
    [("PNG", "a.png"), ("WEBP", "a.webp"), ("JPEG", "a.png"), ("JPEG", "a.jpg"), ("PNG", "a.jpg")],
)
def test_pictures_that_exif_turns_are_stored_upright(kind, name, orientation):
    options = {"lossless": True} if kind == "WEBP" else {}
    data = turned(kind, orientation, **options)
    shrunken, extension = shrink(data, 12, 95, name)
    assert extension == "jpg"
    shown = TURNS[orientation](PICTURE)
    expected = cv2.resize(np.ascontiguousarray(shown), (12, 12), interpolation=cv2.INTER_AREA)
    assert np.abs(decode(shrunken).astype(int) - expected).mean() < 6
    kept, _ = shrink(data, 24, 95, name)
    assert np.abs(decode(kept).astype(int) - shown).mean() < 3


def test_a_transparent_picture_that_exif_turns():
    data = turned("PNG", 6, pixels=np.dstack([PICTURE, ALPHA]))
    written, extension = shrink(data, 0, 95, "a.bmp")
    assert extension == "jpg"
    assert np.abs(decode(written).astype(int) - TURNS[6](ON_WHITE)).mean() < 3


def test_a_turned_picture_that_training_could_not_read(monkeypatch):
    monkeypatch.setattr(shrink_module, "MAX_PIXELS", 100)
    with pytest.raises(BadSample, match="has 24 x 24 pixels, more than 100"):
        shrink(turned("PNG", 6), 12, 95, "a.png")


@pytest.mark.parametrize(("data", "words"), [(b"", "has no bytes"), (b"text", "cannot be decoded")])
def test_broken_picture(data, words):
    with pytest.raises(BadSample, match=words):
        shrink(data, 20, 90, "a.png")


CLEAR = {
    "png": encoded(transparent(), "PNG"),
    "gray_png": encoded(Image.fromarray(GRAY[..., 0]), "PNG", transparency=int(GRAY[12, 0, 0])),
    "palette_png": palette_with_alpha()[0],
    "webp": encoded(transparent(), "WEBP", lossless=True, exact=True),
    "gif": transparent_gif()[0],
    "cmyk": encoded(Image.fromarray(PICTURE).convert("CMYK"), "JPEG"),
}


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif", "a"])
@pytest.mark.parametrize("kind", CLEAR)
def test_bytes_tell_what_a_picture_is_not_its_name(kind, name):
    seen = decode(CLEAR[kind])
    small, extension = shrink(CLEAR[kind], 12, 95, name)
    assert extension == "jpg"
    expected = cv2.resize(seen, (12, 12), interpolation=cv2.INTER_AREA)
    written = cv2.imencode(".jpg", expected[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    assert np.array_equal(decode(small), decode(written.tobytes()))
    # JPEG blurs a hard edge of colours; nothing else may differ.
    assert np.abs(decode(shrink(CLEAR[kind], 24, 95, name)[0]).astype(int) - seen).mean() < 8


def test_what_training_does_not_read_is_encoded_anew_whatever_its_name():
    data, extension = shrink(encoded(PICTURE, "BMP"), 24, 95, "a.png")
    assert extension == "jpg"
    assert np.abs(decode(data).astype(int) - PICTURE).mean() < 3


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((9, 9), 0.5, np.float32), "holds floating point numbers, whose scale nothing"),
        (np.full((9, 9), 5, np.int32), "holds numbers of int32, whose scale nothing tells"),
    ],
)
@pytest.mark.parametrize("side", [0, 4, 20])
def test_numbers_of_no_known_scale_are_refused(pixels, words, side):
    with pytest.raises(BadSample, match=words):
        shrink(encoded(pixels, "TIFF"), side, 90, "a.tif")


def test_tiffs_of_16_bits_are_read():
    data, _ = shrink(encoded(np.full((9, 9), 0x80FF, np.uint16), "TIFF"), 0, 95, "a.tif")
    assert np.abs(decode(data).astype(int) - 0x80).max() <= 1
