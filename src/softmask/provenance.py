"""Which code this is."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).parent


def commit() -> str:
    """The commit that is checked out, with -dirty if files differ from it; else "unknown"."""
    # Installed, this code may lie in the checkout of something else, which does not track it.
    if not _git("ls-files", "--error-unmatch", Path(__file__).name):
        return "unknown"
    return _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*") or "unknown"


def versions(*packages: str) -> dict[str, str]:
    """The installed version of each package, and Python's."""
    return {name: _version(name) for name in packages} | {"python": platform.python_version()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # this code runs from its checkout too, on PYTHONPATH
        return "not installed"


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], cwd=HERE, capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
