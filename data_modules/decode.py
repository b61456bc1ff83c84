"""Encoded pictures to pixels: JPEGs by simplejpeg, other usual ones by OpenCV, odd ones by Pillow.

Pixels are uint8 of shape (H, W, 3), RGB.
"""

import struct
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg  # type: ignore[import-untyped]
from PIL import Image

from data_modules.headers import Header, read_header
from data_modules.reasons import BadSample, Mend, Reason
from softmask.pictures import Pixels as Pixels
from softmask.pictures import flatten, upright

Crop = tuple[slice, slice]
"""Rows and columns."""

MAX_PIXELS = 89_000_000
"""About Pillow's own limit: a picture of 9,400 x 9,400 takes 270 MB decoded."""
SIMPLE = frozenset({Mend.GRAY, Mend.ROTATED})
"""What OpenCV mends by itself in a JPEG."""


class Picture(NamedTuple):
    """An encoded picture whose header is read."""

    data: bytes
    header: Header
    max_pixels: int

    def decode(self) -> Pixels:
        """Give all of it: upright, first frame, on white, 8 bits.

        Raises:
            BadSample: if it is no whole picture.
        """
        if self.header.kind == "JPEG" and not self.header.mends:
            pixels = _plain(self.data)
        elif _is_usual(self.header):
            pixels = _usual(self.data)
        else:
            pixels = _unusual(self)
        return self._whole(pixels)

    def decode_crop(self, draw: Callable[[int, int], Crop]) -> Pixels:
        """Give what `decode()[crop]` gives, without decoding the rows below the crop if it can be.

        Args:
            draw: height and width of the upright picture to the crop.

        Raises:
            BadSample: if it is no whole picture.
        """
        header = self.header
        if header.height_at is None or header.mends:
            pixels = self.decode()
            return pixels[draw(*pixels.shape[:2])]
        crop = draw(header.height, header.width)
        cut = bytearray(self.data)
        # Two rows more: the last one's colours lie between its own and those of the next.
        struct.pack_into(">H", cut, header.height_at, min(crop[0].stop + 2, header.height))
        return self._whole(_plain(cut))[crop]

    def _whole(self, pixels: Pixels | None) -> Pixels:
        if pixels is None:
            kind = self.header.kind
            raise BadSample(Reason.CORRUPT_PICTURE, f"cannot be decoded as {kind}")
        return pixels


def open_picture(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read the header of a JPEG, PNG, WebP or GIF.

    Args:
        data: the file's bytes.
        max_pixels: larger pictures are refused before anything is decoded.

    Raises:
        BadSample: if it is no whole picture, as far as the header tells, or too large.
    """
    header = read_header(data)
    if header.width * header.height > max_pixels:
        raise BadSample(
            Reason.TOO_MANY_PIXELS,
            f"has {header.width} x {header.height} pixels, more than {max_pixels}",
        )
    return Picture(data, header, max_pixels)


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Open and decode."""
    return open_picture(data, max_pixels).decode()


def _is_usual(header: Header) -> bool:
    if header.kind == "GIF":
        return False
    return header.mends <= SIMPLE if header.kind == "JPEG" else not header.mends - {Mend.GRAY}


def _plain(data: bytes | bytearray) -> Pixels | None:
    try:
        # Not strict: as OpenCV, it passes over what it can. Both are libjpeg-turbo.
        return np.asarray(simplejpeg.decode_jpeg(data, strict=False), np.uint8)
    except ValueError:
        return _usual(data)  # it passes over more: zeros between two segments, for instance


def _usual(data: bytes | bytearray) -> Pixels | None:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if pixels is None else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def _unusual(picture: Picture) -> Pixels | None:
    data, kinds = BytesIO(picture.data), [picture.header.kind]
    try:
        with warnings.catch_warnings(), Image.open(data, formats=kinds) as image:
            warnings.simplefilter("ignore")  # of notes in the file that cannot be read
            # A GIF's frame may be larger than the screen that its header names.
            if image.width * image.height > picture.max_pixels:
                return None
            return flatten(upright(image))
    except Exception:
        return None
