"""Pictures of every kind the web holds: odd ones with the pixels they mean, and broken ones."""

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image

SIZE = 24
ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE].astype(np.float64) / (SIZE - 1)
# No turn and no mirror image of it is like it.
PICTURE = np.rint(np.stack([255 * ROWS, 255 * COLUMNS, 200 * ROWS * COLUMNS], -1)).astype(np.uint8)
RED = np.full((SIZE, SIZE, 3), (255, 0, 0), np.uint8)
BLUE = np.full((SIZE, SIZE, 3), (0, 0, 255), np.uint8)
GRAY = np.repeat(PICTURE[:, :, :1], 3, axis=2)
ALPHA = PICTURE[:, :, 1]
ON_WHITE = np.rint(
    PICTURE * (ALPHA[..., None] / 255.0) + 255 * (1 - ALPHA[..., None] / 255.0)
).astype(np.uint8)

# What EXIF's orientations do to the pixels that are stored.
TURNS = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: p.swapaxes(0, 1)[:, ::-1],
    7: lambda p: p.swapaxes(0, 1)[::-1, ::-1],
    8: lambda p: p.swapaxes(0, 1)[::-1],
}


def encoded(pixels, kind="JPEG", **options):
    options = {"quality": 95, "subsampling": 0, **options} if kind == "JPEG" else options
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned(kind, orientation, pixels=PICTURE, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(pixels, kind, exif=exif, **options)


def frames(kind, **options):
    more = [Image.fromarray(BLUE)]
    return encoded(RED, kind, save_all=True, append_images=more, duration=100, **options)


def deep(pixels):
    wide = pixels.astype(np.uint16) * 257
    return cv2.imencode(".png", wide[..., ::-1] if wide.ndim == 3 else wide)[1].tobytes()


def transparent(mode="RGBA"):
    above = Image.fromarray(PICTURE).convert(mode.removesuffix("A"))
    above.putalpha(Image.fromarray(ALPHA))
    return above


def palette_with_alpha():
    """Left half red, right half invisible blue."""
    image = Image.new("P", (SIZE, SIZE))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (SIZE // 2, 0, SIZE, SIZE))
    image.info["transparency"] = bytes([255, 0])
    expected = RED.copy()
    expected[:, SIZE // 2 :] = 255
    return encoded(image, "PNG", transparency=bytes([255, 0])), expected


def transparent_gif():
    image = Image.new("P", (SIZE, SIZE))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (SIZE // 2, 0, SIZE, SIZE))
    expected = RED.copy()
    expected[:, SIZE // 2 :] = 255
    return encoded(image, "GIF", transparency=1), expected


def thumbnail_then_cut():
    """The end mark of the thumbnail inside is not that of the picture."""
    whole = encoded(PICTURE)
    inside = encoded(PICTURE[:8, :8])
    segment = b"\xff\xe1" + struct.pack(">H", len(inside) + 2) + inside
    return whole[:2] + segment + whole[2:-20]


def padded(jpeg):
    """Zeros between two segments."""
    tables = jpeg.index(b"\xff\xdb")
    return jpeg[:tables] + bytes(5) + jpeg[tables:]


def png_bomb():
    return _with_size(encoded(PICTURE, "PNG"), 60_000, 60_000)


def _with_size(png, width, height):
    head = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + head + struct.pack(">I", zlib.crc32(head)) + png[33:]


def jpeg_bomb():
    return jpeg_of(60_000, 60_000)


def jpeg_of(height, width):
    """A JPEG whose frame tells another size."""
    data = bytearray(encoded(PICTURE))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def webp_bomb():
    data = bytearray(frames("WEBP"))
    data[24:30] = (16_000).to_bytes(3, "little") * 2
    return bytes(data)


def gif_bomb():
    data = bytearray(encoded(PICTURE, "GIF"))
    data[6:10] = struct.pack("<HH", 65_000, 65_000)
    return bytes(data)


def cut(data, share=0.6):
    return data[: int(len(data) * share)]


def spoilt(data):
    spoiled = bytearray(data)
    spoiled[len(data) // 2] ^= 0xFF
    return bytes(spoiled)
