"""Bad samples, each with its fate in training and in `softmask data check`."""

import io
import json
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zoo_pictures as zoo
from PIL import Image
from zoo_pictures import GRAY, ON_WHITE, PICTURE, RED, encoded

from data_modules.reasons import Mend, Reason

CAPTION = "a red square"
EXACT, LOSSY = 1, 6  # most that a channel may be off


class Animal(NamedTuple):
    """One sample: dropped for a reason, or kept with the pixels and the caption it means."""

    name: str
    columns: dict[str, bytes]
    reason: Reason | None = None
    mends: frozenset[Mend] = frozenset()
    pixels: np.ndarray = PICTURE
    off: int = EXACT
    caption: str = CAPTION
    also: Reason | None = None  # what check alone says


def picture(name, data, reason=None, *mends, pixels=PICTURE, off=EXACT, column="png"):
    columns = {column: data, "txt": CAPTION.encode()}
    return Animal(name, columns, reason, frozenset(mends), pixels, off)


def text(name, data, reason=None, *mends, caption=CAPTION, **more):
    columns = {"png": encoded(PICTURE, "PNG"), **({} if data is None else {"txt": data}), **more}
    return Animal(name, columns, reason, frozenset(mends), caption=caption)


def broken_pictures():
    bad, unknown = Reason.CORRUPT_PICTURE, Reason.UNKNOWN_PICTURE
    many = Reason.TOO_MANY_PIXELS
    tiff = encoded(PICTURE, "TIFF")
    return [
        picture("jpeg-cut", zoo.cut(encoded(PICTURE)), bad, column="jpg"),
        picture("jpeg-cut-by-2", encoded(PICTURE)[:-2], bad, column="jpg"),
        picture("jpeg-cut-thumbnail", zoo.thumbnail_then_cut(), bad, column="jpg"),
        picture("jpeg-head-only", encoded(PICTURE)[:30], bad, column="jpg"),
        picture("jpeg-of-a-side-too-long", zoo.jpeg_of(65_501, 32), bad, column="jpg"),
        picture("jpeg-12-bytes", encoded(PICTURE)[:12], bad, column="jpg"),
        picture("png-cut", zoo.cut(encoded(PICTURE, "PNG")), bad),
        picture("png-spoilt", zoo.spoilt(encoded(PICTURE, "PNG")), bad),
        picture("png-9-bytes", encoded(PICTURE, "PNG")[:9], bad),
        picture("webp-cut", zoo.cut(encoded(PICTURE, "WEBP")), bad, column="webp"),
        picture("gif-cut", zoo.cut(encoded(PICTURE, "GIF")), bad, column="gif"),
        picture("gif-head-only", encoded(PICTURE, "GIF")[:8], bad, column="gif"),
        picture("no-bytes", b"", Reason.EMPTY_PICTURE, column="jpg"),
        picture("html", b"<!DOCTYPE html><title>404</title>", unknown, column="jpg"),
        picture("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", unknown, column="png"),
        picture("tiff", tiff, unknown, column="jpg"),
        picture("wav", b"RIFF\x24\0\0\0WAVEfmt ", unknown, column="webp"),
        picture("zeros", bytes(500), unknown, column="jpg"),
        picture("png-bomb", zoo.png_bomb(), many),
        picture("jpeg-bomb", zoo.jpeg_bomb(), many, column="jpg"),
        picture("webp-bomb", zoo.webp_bomb(), many, column="webp"),
        picture("gif-bomb", zoo.gif_bomb(), many, column="gif"),
    ]


def odd_pictures():
    mask, mask_pixels = zoo.palette_with_alpha()
    gif, gif_pixels = zoo.transparent_gif()
    colours = Image.fromarray(PICTURE).quantize(64)
    black_white = Image.fromarray(PICTURE).convert("1")
    flat = np.asarray(black_white.convert("RGB"))
    jpeg, gray, alpha, palette = (
        {"column": "jpg", "off": LOSSY},
        Mend.GRAY,
        Mend.ALPHA,
        Mend.PALETTE,
    )
    gray_white = (
        np.asarray([0.299, 0.587, 0.114] @ PICTURE.reshape(-1, 3).T, np.float64).reshape(
            zoo.SIZE, zoo.SIZE, 1
        )
        * (zoo.ALPHA[..., None] / 255)
        + 255
        - zoo.ALPHA[..., None]
    )
    turns = [
        picture(
            f"exif-{number}",
            zoo.turned("JPEG", number),
            None,
            *([Mend.ROTATED] if number > 1 else []),
            pixels=turn(PICTURE),
            **jpeg,
        )
        for number, turn in zoo.TURNS.items()
    ]
    return [
        *turns,
        picture("exif-png", zoo.turned("PNG", 6), None, Mend.ROTATED, pixels=zoo.TURNS[6](PICTURE)),
        picture(
            "exif-webp",
            zoo.turned("WEBP", 5, lossless=True),
            None,
            Mend.ROTATED,
            pixels=zoo.TURNS[5](PICTURE),
            column="webp",
        ),
        picture("cmyk", encoded(Image.fromarray(PICTURE).convert("CMYK")), None, Mend.CMYK, **jpeg),
        picture("progressive", encoded(PICTURE, progressive=True), **jpeg),
        picture("gray-jpeg", encoded(GRAY[..., 0]), None, gray, pixels=GRAY, **jpeg),
        picture("jpeg-padded", zoo.padded(encoded(PICTURE)), **jpeg),
        picture("jpeg-and-more", encoded(PICTURE) + b"\0" * 99, **jpeg),
        picture("gray-png", encoded(GRAY[..., 0], "PNG"), None, gray, pixels=GRAY),
        picture("gray-16", zoo.deep(GRAY[..., 0]), None, gray, Mend.DEEP, pixels=GRAY),
        picture("rgb-16", zoo.deep(PICTURE), None, Mend.DEEP),
        picture("one-bit", encoded(black_white, "PNG"), None, gray, pixels=flat),
        picture("rgba", encoded(zoo.transparent(), "PNG"), None, alpha, pixels=ON_WHITE),
        picture(
            "gray-alpha",
            encoded(zoo.transparent("LA"), "PNG"),
            None,
            *(gray, alpha),
            pixels=np.rint(gray_white).astype(np.uint8).repeat(3, axis=2),
            off=2,
        ),
        picture(
            "palette",
            encoded(colours, "PNG"),
            None,
            palette,
            pixels=np.asarray(colours.convert("RGB")),
        ),
        picture("palette-alpha", mask, None, palette, alpha, pixels=mask_pixels),
        picture(
            "webp-alpha",
            encoded(zoo.transparent(), "WEBP", lossless=True, exact=True),
            None,
            alpha,
            pixels=ON_WHITE,
            column="webp",
        ),
        picture("webp", encoded(PICTURE, "WEBP", lossless=True), column="webp"),
        picture("gif-alpha", gif, None, palette, pixels=gif_pixels, column="gif"),
        picture("gif-frames", zoo.frames("GIF"), None, palette, pixels=RED, column="gif"),
        picture(
            "webp-frames",
            zoo.frames("WEBP", lossless=True),
            None,
            Mend.ANIMATED,
            pixels=RED,
            column="webp",
        ),
        picture("png-frames", zoo.frames("PNG"), None, Mend.ANIMATED, pixels=RED),
        picture("png-called-jpg", encoded(PICTURE, "PNG"), column="jpg"),
        picture("upper-case", encoded(PICTURE, "PNG"), column="PNG"),
    ]


def captions():
    empty, utf8, notes = Reason.EMPTY_CAPTION, Reason.BAD_UTF8, Reason.BAD_JSON
    hidden = Mend.CONTROL_CHARACTERS
    several = json.dumps({"captions": ["", "  ", "a cat"]}).encode()
    surrogates = b'{"captions": ["a \\ud800cat"], "image_id": "\\ud800"}'
    return [
        text("latin-1", "caf\xe9 au lait".encode("latin-1"), utf8),
        text("utf-16", "a cat".encode("utf-16"), utf8),
        text("utf-16-bare", "a cat".encode("utf-16-le"), utf8),
        text("utf-8-cut", "a caf\xe9".encode()[:-1], utf8),
        text("caption-empty", b"", empty),
        text("caption-blank", b" \n\t ", empty),
        text("caption-controls", b"\x01\x02\x03", empty),
        text("caption-zero-width", "\u200b\ufeff\u2060".encode(), empty),
        text("caption-2-mib", b"word " * 420_000, Reason.LONG_CAPTION),
        text("caption-missing", None, Reason.MISSING_CAPTION),
        text("json-cut", b"x", notes, json=b'{"a": '),
        text("json-list", b"x", notes, json=b"[]"),
        text("json-deep", b"x", notes, json=b"[" * 100_000),
        text("json-bytes", b"x", notes, json=b"\xff\xff"),
        text("captions-empty", b"x", empty, json=b'{"captions": ["", " "]}'),
        text(
            "words-10000", b"word " * 10_000, None, Mend.CUT_CAPTION, caption="word " * 29 + "word"
        ),
        text("one-long-word", b"x" * 5000, caption="x" * 5000),
        text("emoji-only", "\U0001f600\U0001f680".encode(), caption="\U0001f600\U0001f680"),
        text("controls", b"a\x00 red\x1b\x07square", None, hidden, caption=CAPTION),
        text("byte-order-mark", b"\xef\xbb\xbfa red square", None, hidden),
        text("direction-marks", "a \u202ered\u202c square".encode(), None, hidden),
        text("wide-letters", "\uff41 \uff52\uff45\uff44 square".encode()),
        text("captions-some", b"x", json=several, caption="a cat"),
        text("half-characters", b"x", None, hidden, json=surrogates, caption="a cat"),
    ]


def shapes():
    png, txt = encoded(PICTURE, "PNG"), CAPTION.encode()
    bomb = pickle.dumps(Bomb())
    return [
        Animal("picture-missing", {"txt": txt}, Reason.MISSING_PICTURE),
        Animal(
            "two-pictures", {"jpg": encoded(PICTURE), "png": png, "txt": txt}, Reason.MANY_PICTURES
        ),
        Animal("dotted", {"v2.png": png, "v2.txt": txt}, Reason.DOTTED_KEY),
        Animal("nothing-known", {"cls": b"3"}, Reason.MISSING_PICTURE),
        Animal("pickle", {"png": png, "txt": txt, "pyd": bomb}, also=Reason.PICKLE_COLUMN),
        Animal("pickle-notes", {"png": png, "txt": txt, "x.pkl": bomb}, also=Reason.PICKLE_COLUMN),
        Animal("more-columns", {"png": png, "txt": txt, "cls": b"3", "seg.png": b"?"}),
    ]


class Bomb:
    """Ends the process that opens it."""

    def __reduce__(self):
        return __import__("os")._exit, (13,)


def animals() -> list[Animal]:
    return [*broken_pictures(), *odd_pictures(), *captions(), *shapes()]


def good(number: int) -> Animal:
    pixels = np.roll(PICTURE, number, axis=0)
    return picture(f"good-{number}", encoded(pixels, "PNG"), pixels=pixels)


def members(group: Sequence[Animal]) -> list[tuple[str, bytes]]:
    return [(f"{one.name}.{column}", data) for one in group for column, data in one.columns.items()]


def write_tar(file: Path, group: Sequence[tuple[str, bytes] | tarfile.TarInfo], **options) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(tar(group, **options))
    return file


def tar(group, **options) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", **options) as made:
        for member in group:
            if isinstance(member, tarfile.TarInfo):
                made.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            made.addfile(info, io.BytesIO(member[1]))
    return stream.getvalue()
