"""Pictures and captions at inference: as data modules read them."""

import numpy as np
import pytest
from PIL import Image, ImageOps
from uploaded import odd_exif

from data_modules.decode import decode
from data_modules.sheet import Sheet
from data_modules.text import Text, TextOptions
from softmask.captions import CaptionOptions, Captions
from softmask.errors import InputError
from softmask.pictures import ORIENTATION, read_picture, resize, upright
from softmask.tokenizer import load_tokenizer


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "L")])
@pytest.mark.parametrize("size", [20, 48, 300])
def test_pixels_are_the_data_modules(tmp_path, kind, mode, size):
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    noise = np.random.default_rng(0).integers(0, 256, (size, size + 7, *channels), dtype=np.uint8)
    path = tmp_path / "a.bin"
    Image.fromarray(noise).save(path, format=kind)
    expected = Sheet(decode(path.read_bytes()), 32).lay()
    assert np.array_equal(resize(read_picture(path), 32), expected)


@pytest.mark.parametrize("quality", [60, 95])
@pytest.mark.parametrize("turned", [False, True])
def test_jpegs_differ_by_no_more_than_two_decoders_rounding(tmp_path, quality, turned):
    smooth = np.linspace(0, 255, 90 * 60 * 3).reshape(90, 60, 3).astype(np.uint8)
    image = Image.fromarray(smooth[:, ::-1].copy())
    exif = image.getexif()
    if turned:
        exif[0x0112] = 6
    path = tmp_path / "a.jpg"
    image.save(path, quality=quality, exif=exif)
    expected = Sheet(decode(path.read_bytes()), 32).lay().astype(int)
    found = resize(read_picture(path), 32).astype(int)
    assert found.shape == (32, 32, 3)
    assert np.abs(found - expected).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_pillows(tmp_path, orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(read_picture(path), expected)
    assert np.array_equal(decode(path.read_bytes()), expected)


def test_a_picture_whose_exif_is_wrong_elsewhere_is_turned(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (7, 5), "red").save(path, exif=odd_exif())
    assert read_picture(path).shape == decode(path.read_bytes()).shape == (7, 5, 3)


def test_exif_that_cannot_be_read_says_nothing(monkeypatch):
    image = Image.new("RGB", (7, 5))
    monkeypatch.setattr(image, "getexif", lambda: 1 / 0)
    assert upright(image) is image


@pytest.mark.parametrize("sep", [False, True])
@pytest.mark.parametrize(
    "text",
    ["a red car", "two xylophones, here!", "word " * 40, "na\u00efve\ufeff caf\u00e9s \x00 twice"],
)
def test_tokens_are_the_data_modules(text, sep):
    from data_modules.text import normalise

    options = TextOptions(sep=sep)
    captions = Captions(load_tokenizer(), CaptionOptions(sep=sep))
    expected = Text(options).encode(normalise(text, options.max_words)).ids
    ids, mask = captions.encode([text, "a"])
    assert ids[0].tolist() == expected
    assert mask.sum(dim=1).tolist() == [len(expected), 2 + sep]
    words = captions.words(text)
    places = [place for word in words for place in range(word.start, word.stop)]
    assert places == list(range(1, len(expected) - sep))


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((4, 4), 0.5, np.float32), "floating point"),
        (np.full((4, 4), 70_000, np.int32), "70000"),
        (np.full((4, 4), -1, np.int32), "-1"),
    ],
)
def test_numbers_of_no_known_scale_are_refused(tmp_path, pixels, words):
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.tiff")
    for given in (image, tmp_path / "a.tiff"):
        with pytest.raises(InputError, match=words):
            read_picture(given)


def test_sixteen_bits_keep_their_upper_byte():
    deep = np.array([[0, 255, 256, 65535]], np.uint16)
    for image in (Image.fromarray(deep), Image.fromarray(deep.astype(np.int32))):
        assert read_picture(image)[0, :, 0].tolist() == [0, 0, 1, 255]
