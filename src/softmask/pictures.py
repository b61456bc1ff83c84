"""Pictures as evaluation and inference see them: the one place for both.

Pixels are uint8 of shape (H, W, 3), RGB.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from softmask.errors import InputError, first_line

Pixels = NDArray[np.uint8]
Picture = str | Path | Image.Image | NDArray[Any]
"""A file's path, a picture of Pillow's, or pixels: (H, W), (H, W, 3) or (H, W, 4), uint8."""


def resize(pixels: Pixels, size: int) -> Pixels:
    """Resize to a square, bicubic as ALBEF does; shrinking more than 2x averages areas instead.

    Without it OpenCV's bicubic would skip pixels.
    """
    shrink = min(pixels.shape[:2]) > 2 * size
    method = cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (size, size), interpolation=method), np.uint8)


def flatten(image: Image.Image) -> Pixels:
    """Lay the first frame on white, 8 bits a channel."""
    if image.mode.startswith("I"):
        # Pillow would clip 16 bits to 255 where the upper byte is meant.
        gray = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB"), np.uint8)
    above = image.convert("RGBA")
    white = Image.new("RGBA", above.size, (255, 255, 255, 255))
    return np.asarray(Image.alpha_composite(white, above).convert("RGB"), np.uint8)


def read_picture(picture: Picture) -> Pixels:
    """Pixels of whatever a user has: upright, first frame, on white, 8 bits.

    Args:
        picture: a file's path, a picture of Pillow's, or pixels.

    Raises:
        InputError: it is none of them, or cannot be read.
    """
    if isinstance(picture, Image.Image):
        return flatten(ImageOps.exif_transpose(picture))
    if isinstance(picture, np.ndarray):
        return _of_array(picture)
    if not isinstance(picture, str | Path):
        raise InputError(
            f"A picture is given as {type(picture).__name__}: give a path, a PIL image, or an "
            f"array of uint8 with the channels last."
        )
    try:
        with Image.open(picture) as image:
            return flatten(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f"The picture '{picture}' cannot be read ({first_line(error)}): correct the path or "
            f"replace the file."
        ) from error


def listed_pictures(given: Picture | Sequence[Picture]) -> list[Picture]:
    """One picture or several, as a list.

    Raises:
        InputError: none.
    """
    if isinstance(given, str | Path | Image.Image | np.ndarray):
        return [given]
    if not given:
        raise InputError("No picture is given: give one or more.")
    return list(given)


def _of_array(pixels: NDArray[Any]) -> Pixels:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise InputError(
            f"A picture is an array of {pixels.dtype} with shape {pixels.shape}: give uint8 of "
            f"shape (height, width), (height, width, 3) or (height, width, 4)."
        )
    if pixels.ndim == 3 and channels == 3:
        return pixels
    return flatten(Image.fromarray(pixels.squeeze(2) if pixels.shape[2:] == (1,) else pixels))
