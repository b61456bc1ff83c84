"""Pictures as a browser sends them."""

import struct
from io import BytesIO
from pathlib import Path

from PIL import Image


def png(folder: Path, name: str = "00.png") -> bytes:
    return (folder / name).read_bytes()


def file(data: bytes, name: str = "mine.png") -> tuple[BytesIO, str]:
    return BytesIO(data), name


def big(folder: Path) -> bytes:
    """A picture of few bytes and too many pixels."""
    path = folder / "big.png"
    Image.new("1", (8000, 6000)).save(path)
    return path.read_bytes()


def odd_exif() -> bytes:
    """EXIF that lays a picture on its side, with a maker's name that is a ratio of numbers."""
    maker, orientation = (0x010F, 5, 1, 38), (0x0112, 3, 1, 6)
    tags = b"".join(struct.pack("<HHII", *tag) for tag in (maker, orientation))
    whole = b"II*\0" + struct.pack("<IH", 8, 2) + tags + struct.pack("<III", 0, 1, 2)
    return b"Exif\0\0" + whole
