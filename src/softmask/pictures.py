"""Pictures as evaluation and inference see them: the one place for both.

Pixels are uint8 of shape (H, W, 3), RGB.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from softmask.errors import InputError, first_line

Pixels = NDArray[np.uint8]
Picture = str | Path | Image.Image | NDArray[Any]
"""A file's path, a picture of Pillow's, or pixels: (H, W), (H, W, 3) or (H, W, 4), uint8."""


def resize(pixels: Pixels, size: int) -> Pixels:
    """Resize (H, W, 3) to a square, bicubic by Pillow's rule, as ALBEF does."""
    out = np.empty((size, size, 3), np.uint8)
    # What a user hands over may be mirrored, or locked.
    spread(np.require(pixels, requirements=["C", "W"]), out)
    return out


def spread(pixels: Pixels, out: Pixels) -> None:
    """Resize a picture to a square that is there already, a part of a batch for instance.

    Bicubic by Pillow's rule.

    Args:
        pixels: (H, W, 3), or (H, W) gray, in one block of memory.
        out: (S, S, 3) or (S, S), written.
    """
    height, width = pixels.shape[:2]
    size = len(out)
    if height == width == size:
        out[:] = pixels
    else:
        # What torch's interpolate(antialias=True) calls, which cannot write where it is told to.
        torch._C._nn._upsample_bicubic2d_aa(  # type: ignore[call-arg]  # its stub lacks out
            _as_batch(pixels), [size, size], False, None, None, out=_as_batch(out)
        )


def _as_batch(pixels: Pixels) -> torch.Tensor:
    """See (H, W, 3) or (H, W) as (1, C, H, W)."""
    # NumPy turns its axes in half of torch's time.
    return torch.from_numpy(
        (pixels if pixels.ndim == 3 else pixels[..., None]).transpose(2, 0, 1)[None]
    )


def flatten(image: Image.Image) -> Pixels:
    """Lay the first frame on white, 8 bits a channel."""
    if image.mode.startswith("I"):
        # Pillow would clip 16 bits to 255 where the upper byte is meant.
        gray = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)
    if not image.has_transparency_data:
        return np.array(image.convert("RGB"), np.uint8)
    above = image.convert("RGBA")
    white = Image.new("RGBA", above.size, (255, 255, 255, 255))
    return np.array(Image.alpha_composite(white, above).convert("RGB"), np.uint8)


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
