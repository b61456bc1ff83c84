"""Fake corpora by task: `write_<task>(folder, count, seed)` for one whose samples are not pairs."""

import sys
from collections.abc import Callable
from pathlib import Path

from fake import write_fake_pairs
from refer import write_grounding as write_grounding

COUNTS = {"train": 12, "val": 6, "test": 6}


def write_corpus(task: str, folder: Path) -> Path:
    """Folders train (12 samples: three steps of four), val and test (6 each)."""
    writer: Callable[[Path, int, int], object] = getattr(
        sys.modules[__name__], f"write_{task.replace('-', '_')}", write_pairs
    )
    for seed, (name, count) in enumerate(COUNTS.items()):
        writer(folder / name, count, seed)
    return folder


def write_pairs(folder: Path, count: int, seed: int) -> None:
    """Pairs; those to train on have two captions."""
    write_fake_pairs(folder, count, seed, captions=2 if folder.name == "train" else 1)
