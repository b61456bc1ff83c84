"""A real Chromium without a window, and the page of `softmask demo` in a process of its own."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = {"narrow": 400, "wide": 1600}


def found() -> str | None:
    """The Chromium of this machine: $CHROMIUM, or the first of its usual names."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


NEEDED = pytest.mark.skipif(
    found() is None and not os.environ.get("CI"),
    reason="THE PAGE IS NOT TESTED IN A BROWSER: `make browser` installs Chromium",
)


@contextmanager
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Its sandbox cannot be had by root; what it opens here is our own.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=found(), args=root)
        yield opened
        opened.close()


SERVE = (
    "import signal, sys; from softmask.program import main; "
    # A shell's background job, and what it starts, would ignore Ctrl-C.
    "signal.signal(signal.SIGINT, signal.default_int_handler); main(sys.argv[1:])"
)


@contextmanager
def served(args: Sequence[str], folder: Path) -> Iterator[str]:
    """The address of a page served by the program, which Ctrl-C ends."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", SERVE, "demo", *args, "--port", "0"]
    with (folder / "out.txt").open("w") as out, (folder / "err.txt").open("w") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err)
    said, wrong = (folder / name for name in ("out.txt", "err.txt"))
    try:
        yield _address(process, said, wrong)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, wrong.read_text()
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in wrong.read_text()
    assert said.read_text().endswith("Stopped.\n")


def _address(process: "subprocess.Popen[bytes]", said: Path, wrong: Path) -> str:
    end = time.monotonic() + 300
    while not (line := re.search(r"(http://\S+)/", said.read_text())):
        assert process.poll() is None, wrong.read_text()
        assert time.monotonic() < end, "no address after five minutes"
        time.sleep(0.1)
    return line[1]


def overflows(page: Page) -> bool:
    """Whether the page is wider than its window."""
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def photograph(page: Page, folder: Path, name: str) -> None:
    """Whole pages, narrow and wide, of which none may be wider than its window."""
    for kind, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 900})
        assert not overflows(page), f"{name} at {width} px"
        page.screenshot(path=folder / f"{name}-{kind}.png", full_page=True)
