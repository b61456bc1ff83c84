"""Encoded pictures to pixels: usual ones by OpenCV, unusual ones mended by Pillow.

Pixels are uint8 of shape (H, W, 3), RGB.
"""

import warnings
from io import BytesIO

import cv2
import numpy as np
from PIL import Image, ImageOps

from data_modules.headers import Header, read_header
from data_modules.reasons import BadSample, Mend, Reason
from softmask.pictures import Pixels as Pixels
from softmask.pictures import flatten

MAX_PIXELS = 89_000_000
"""About Pillow's own limit: a picture of 9,400 x 9,400 takes 270 MB decoded."""
SIMPLE = frozenset({Mend.GRAY, Mend.ROTATED})
"""What OpenCV mends by itself in a JPEG."""


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a JPEG, PNG, WebP or GIF: upright, first frame, on white, 8 bits.

    Args:
        data: the file's bytes.
        max_pixels: larger pictures are refused before anything is decoded.

    Raises:
        BadSample: if it is no whole picture, or too large.
    """
    header = read_header(data)
    if header.width * header.height > max_pixels:
        raise BadSample(
            Reason.TOO_MANY_PIXELS,
            f"has {header.width} x {header.height} pixels, more than {max_pixels}",
        )
    pixels = _usual(data) if _is_usual(header) else _unusual(data, header, max_pixels)
    if pixels is None:
        raise BadSample(Reason.CORRUPT_PICTURE, f"cannot be decoded as {header.kind}")
    return pixels


def _is_usual(header: Header) -> bool:
    if header.kind == "GIF":
        return False
    return header.mends <= SIMPLE if header.kind == "JPEG" else not header.mends - {Mend.GRAY}


def _usual(data: bytes) -> Pixels | None:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if pixels is None else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def _unusual(data: bytes, header: Header, max_pixels: int) -> Pixels | None:
    try:
        with warnings.catch_warnings(), Image.open(BytesIO(data), formats=[header.kind]) as image:
            warnings.simplefilter("ignore")  # of notes in the file that cannot be read
            # A GIF's frame may be larger than the screen that its header names.
            if image.width * image.height > max_pixels:
                return None
            return flatten(ImageOps.exif_transpose(image))
    except Exception:
        return None
