"""Pictures that a browser sends: of a few formats, bounded in pixels, the last ones kept."""

import hashlib
from collections import OrderedDict
from io import BytesIO
from threading import Lock
from typing import NamedTuple

from PIL import Image

from softmask.errors import InputError
from softmask.pictures import Pixels, read_picture

FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
"""What is taken, by Pillow's name; no other reader is ever asked."""
MAX_PIXELS = 40_000_000
"""Of one picture, read from its header before it is decoded."""
KEPT = 16
"""Uploads kept in memory, the last used ones."""


class Upload(NamedTuple):
    """A picture as it was sent."""

    name: str
    data: bytes


def decoded(upload: Upload) -> Pixels:
    """Pixels of an upload, (H, W, 3).

    Raises:
        InputError: it is no picture of a format that is taken, too large, or broken.
    """
    try:
        image = Image.open(BytesIO(upload.data), formats=tuple(FORMATS))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f"“{upload.name}” is not a picture that can be read here: choose a JPEG, PNG, WebP or "
            f"GIF file."
        ) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputError(
            f"“{upload.name}” has {width} x {height} pixels, more than the {MAX_PIXELS:,} that are "
            f"taken: make it smaller."
        )
    try:
        return read_picture(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(
            f"“{upload.name}” is broken and cannot be read to its end: choose another file."
        ) from error


class Shelf:
    """The last uploads, so that a second question needs no second upload.

    Args:
        kept: most of them.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept, self._lock = kept, Lock()
        self._uploads: OrderedDict[str, Upload] = OrderedDict()

    def put(self, upload: Upload) -> str:
        """Keep a picture that can be read, and give its name here.

        Raises:
            InputError: it cannot be read.
        """
        decoded(upload)
        key = hashlib.sha256(upload.data).hexdigest()[:16]
        with self._lock:
            self._uploads[key] = upload
            self._uploads.move_to_end(key)
            while len(self._uploads) > self._kept:
                self._uploads.popitem(last=False)
        return key

    def get(self, key: str) -> Upload:
        """A kept picture.

        Raises:
            InputError: it is not kept, or no longer.
        """
        with self._lock:
            if key not in self._uploads:
                raise InputError("This picture is no longer kept: choose its file again.")
            self._uploads.move_to_end(key)
            return self._uploads[key]
