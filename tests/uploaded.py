"""Pictures as a browser sends them."""

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
