"""Pictures as `softmask data write` stores them: large ones made smaller, as JPEG."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_modules.decode import Pixels, decode
from data_modules.headers import Header, read_header
from data_modules.image import on_white
from data_modules.reasons import BadSample, Mend, Reason
from data_modules.write import EXTENSIONS

MAX_PIXELS = 1 << 30
"""OpenCV's own limit: what is too large for training may be shrunk for it."""


def shrink(data: bytes, short_side: int, quality: int, name: str) -> tuple[bytes, str]:
    """Encode a picture anew as JPEG if its shorter side is larger than short_side.

    Its bytes tell what it is; the name tells only which extension they keep.

    Args:
        data: the file's bytes.
        short_side: pixels; 0 keeps the bytes.
        quality: of the JPEG.
        name: of the file.

    Returns:
        The bytes and their extension.

    Raises:
        BadSample: if it is no picture, or its numbers are of no known scale.
    """
    extension = Path(name).suffix.lower().lstrip(".")
    if extension in EXTENSIONS and short_side == 0:
        return data, extension
    header = _header(data)
    # What training decodes it does here as well: what is shrunken is what it would have seen.
    pixels = _other(data) if header is None else decode(data, MAX_PIXELS)
    shortest = min(pixels.shape[:2])
    opaque = header is not None and Mend.ALPHA not in header.mends
    if extension in EXTENSIONS and shortest <= short_side and opaque:
        return data, extension
    small = _resize(pixels, short_side) if 0 < short_side < shortest else pixels
    small = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), np.uint8)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes(), "jpg"


def _header(data: bytes) -> Header | None:
    """Read the header of the kinds that training reads; None is another kind.

    Raises:
        BadSample: if it is cut, or there is none.
    """
    try:
        return read_header(data)
    except BadSample as bad:
        if bad.reason is Reason.UNKNOWN_PICTURE:
            return None
        raise


def _other(data: bytes) -> Pixels:
    """Decode a kind that OpenCV alone reads, as TIFF, to (H, W, 3), RGB.

    Raises:
        BadSample: if it does not, or nothing tells what is black and white.
    """
    try:
        pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # more pixels than OpenCV allows
        pixels = None
    if pixels is None:
        raise BadSample(Reason.UNKNOWN_PICTURE, "cannot be decoded")
    if pixels.dtype not in (np.uint8, np.uint16):  # a scale from 0 to 1 would come out black
        kind = (
            "floating point numbers" if pixels.dtype.kind == "f" else f"numbers of {pixels.dtype}"
        )
        detail = f"holds {kind}, whose scale nothing tells, not 8 or 16 bits a channel"
        raise BadSample(Reason.UNKNOWN_PICTURE, detail)
    if pixels.ndim == 3 and pixels.shape[2] not in (3, 4):
        raise BadSample(Reason.UNKNOWN_PICTURE, f"has {pixels.shape[2]} channels")
    return np.asarray(cv2.cvtColor(on_white(pixels), cv2.COLOR_BGR2RGB), np.uint8)


def _resize(pixels: Pixels, short_side: int) -> Pixels:
    height, width = pixels.shape[:2]
    scale = short_side / min(height, width)
    target = (max(short_side, round(width * scale)), max(short_side, round(height * scale)))
    return np.asarray(cv2.resize(pixels, target, interpolation=cv2.INTER_AREA), np.uint8)
