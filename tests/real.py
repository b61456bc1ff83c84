"""The real files of ../shared/data, where this machine has them."""

import tarfile
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "shared" / "data"


def unpacked(name: str, folder: Path) -> Path:
    """A tar's files in `folder`; the test is skipped where there is no such tar."""
    file = DATA / name
    if not file.is_file():
        pytest.skip(f"{file} is not on this machine")
    with tarfile.open(file) as tar:
        tar.extractall(folder, filter="data")
    return folder
