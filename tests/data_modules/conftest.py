"""A conversion that several files of tests compare with."""

from pathlib import Path

import pytest
from converting import contents, make_source, write


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with captions, to convert."""
    return make_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an undisturbed run in one process writes."""
    output = tmp_path_factory.mktemp("whole") / "out"
    write(source, output)
    return contents(output)
