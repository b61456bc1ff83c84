"""Real pictures with texts in `shared/data` beside the clone, or $SOFTMASK_DATA, where they are."""

import os
import tarfile
from pathlib import Path

import pytest

DATA = Path(os.environ.get("SOFTMASK_DATA", Path(__file__).parents[2] / "shared" / "data"))


def unpacked(name: str, folder: Path) -> Path:
    """A tar's files in `folder`; the test is skipped where there is no such tar."""
    file = DATA / name
    if not file.is_file():
        pytest.skip(f"{file} is not on this machine")
    with tarfile.open(file) as tar:
        tar.extractall(folder, filter="data")
    return folder
