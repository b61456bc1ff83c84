"""What many tests share: a corpus of fake pairs, and one run of the program on it."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

REPO = Path(__file__).parent.parent

# Before torch is loaded: the tests are too small for threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What fresh processes import is this tree, whatever is installed.
os.environ["PYTHONPATH"] = os.pathsep.join([str(REPO / "src"), str(REPO)])


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders train (12 pairs: three steps of four), val and test (6 each)."""
    import program
    from corpora import write_corpus

    program.warm_up()
    return write_corpus("pretrain", tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """A browser without a window."""
    import browser

    assert browser.found(), "no Chromium: `make browser` installs it"
    with browser.browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shared model that nobody trained."""
    from asked import write_model

    return write_model(tmp_path_factory.mktemp("shared") / "model")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures, of which one lies a folder deeper."""
    from asked import write_pictures

    path = tmp_path_factory.mktemp("pictures") / "them"
    write_pictures(path)
    return path


@pytest.fixture(scope="session")
def corpus_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the corpus of a task by its name, in its own schema."""
    from corpora import write_corpus

    return cache(lambda task: write_corpus(task, tmp_path_factory.mktemp(task)))


@pytest.fixture(scope="session")
def fitted(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of four steps that was tested after them; `out.txt` is what it said."""
    import program

    runs = tmp_path_factory.mktemp("fitted")
    flags = ["--trainer.max_steps", "4", "--then_test", "true", "--performance.every", "1"]
    ended = program.here([*program.arguments("fit", corpus, runs), *flags])
    assert ended.code == 0, ended.err
    (runs / "run" / "out.txt").write_text(ended.out)
    return runs / "run"
