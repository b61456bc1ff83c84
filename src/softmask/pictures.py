"""Pictures as evaluation and inference see them: the one place for both.

Pixels are uint8 of shape (H, W, 3), RGB.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from softmask.errors import InputError, first_line

Pixels = NDArray[np.uint8]
Picture = str | Path | Image.Image | NDArray[Any]
"""A file's path, a picture of Pillow's, or pixels: (H, W), (H, W, 3) or (H, W, 4), uint8."""
ORIENTATION = 0x0112
"""EXIF's tag."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by orientation (EXIF 2.3, section 4.6.4)."""
DEEPEST = 2**16 - 1
"""The largest number of a channel of 16 bits."""


def resize(pixels: Pixels, size: int) -> Pixels:
    """Resize (H, W, 3) to a square, bicubic by Pillow's rule, as ALBEF does.

    Raises:
        InputError: there is no pixel.
    """
    if not pixels.size:
        raise InputError(f"A picture has the shape {pixels.shape}: give one with pixels.")
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
    """Lay the first frame on white, 8 bits a channel.

    Raises:
        InputError: its numbers are of no known scale.
    """
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.size and not 0 <= values.min() <= values.max() <= DEEPEST:
            raise InputError(
                f"A picture holds numbers from {values.min()} to {values.max()}: give 8 or 16 bits "
                f"a channel."
            )
        # Pillow would clip 16 bits to 255 where the upper byte is meant.
        gray = (values.astype(np.uint16) >> 8).astype(np.uint8)
        return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)
    if image.mode == "F":  # Pillow would clip it at 255: what is meant from 0 to 1 would be black
        raise InputError(
            "A picture holds floating point numbers, whose scale nothing tells: give 8 or 16 bits "
            "a channel."
        )
    if not image.has_transparency_data:
        return np.array(image.convert("RGB"), np.uint8)
    above = image.convert("RGBA")
    white = Image.new("RGBA", above.size, (255, 255, 255, 255))
    return np.array(Image.alpha_composite(white, above).convert("RGB"), np.uint8)


def upright(image: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF says; EXIF that cannot be read says nothing.

    Raises:
        OSError: its pixels cannot be read.
    """
    image.load()  # a PNG may hold its EXIF behind the pixels
    try:
        # Not ImageOps.exif_transpose: it writes EXIF anew, and fails at tags of a wrong type.
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # of whatever type: Pillow reads tags that strangers wrote
        return image
    return image if turn is None else image.transpose(turn)


def read_picture(picture: Picture) -> Pixels:
    """Pixels of whatever a user has: upright, first frame, on white, 8 bits.

    Args:
        picture: a file's path, a picture of Pillow's, or pixels.

    Raises:
        InputError: it is none of them, or cannot be read.
    """
    if isinstance(picture, Image.Image):
        return flatten(upright(picture))
    if isinstance(picture, np.ndarray):
        return _of_array(picture)
    if not isinstance(picture, str | Path):
        raise InputError(
            f"A picture is given as {type(picture).__name__}: give a path, a PIL image, or an "
            f"array of uint8 with the channels last."
        )
    try:
        with Image.open(picture) as image:
            return flatten(upright(image))
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
    # Listed before it is asked for its truth, which arrays and generators do not tell.
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        return [given]  # which `read_picture` refuses
    pictures = list(given)
    if not pictures:
        raise InputError("No picture is given: give one or more.")
    return pictures


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
