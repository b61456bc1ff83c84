"""What the texts of the demo's tasks give away: the figure of one who never sees a picture.

    python -m benchmarks.blind --scenes data/scenes --output docs/results/tasks/blind.json

A test text that training has too gets its commonest label there, any other the commonest of all.
What an expression means is pointed at in the middle of the picture.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from data_modules.contents import meta, task_text
from data_modules.shards import ShardSet
from softmask.metrics import points_into

Labelled = tuple[str, str]
"""A text and its label."""
LABELS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "vqa": lambda notes: str(notes["answers"][0]),
    "nlvr2": lambda notes: str(notes["label"]),
    "snli_ve": lambda notes: str(notes["label"]),
}


def main(args: Sequence[str] | None = None) -> None:
    """Count and write.

    Args:
        args: of the command line; `sys.argv` unless given.
    """
    given = _parse(args)
    found = {
        task: round(
            blind(*(read(given.scenes / task / part, label) for part in ("train", "test"))), 4
        )
        for task, label in LABELS.items()
    }
    found["grounding"] = round(middle(given.scenes / "grounding" / "test"), 4)
    given.output.write_text(json.dumps(found, indent=2) + "\n")
    print(found)


def read(folder: Path, label: Callable[[Mapping[str, Any]], str]) -> list[Labelled]:
    """Texts and labels of a data set."""
    shards = ShardSet(str(folder))
    samples = (shards.read(position) for position in range(len(shards)))
    return [(task_text(sample), label(meta(sample))) for sample in samples]


def middle(folder: Path) -> float:
    """Share of boxes in which the middle of the picture lies."""
    shards = ShardSet(str(folder))
    notes = [meta(shards.read(position)) for position in range(len(shards))]
    boxes, sizes = (
        torch.tensor([each[name] for each in notes]).float() for name in ("box", "size")
    )
    return float(points_into(sizes / 2, boxes).float().mean())


def blind(train: Iterable[Labelled], test: Sequence[Labelled]) -> float:
    """Share of test texts whose label is guessed by the texts of training."""
    by_text: dict[str, Counter[str]] = {}
    every: Counter[str] = Counter()
    for text, label in train:
        by_text.setdefault(text, Counter())[label] += 1
        every[label] += 1
    right = [_commonest(by_text.get(text, every)) == label for text, label in test]
    return sum(right) / len(right)


def _commonest(labels: Counter[str]) -> str:
    """Of several, the first by name."""
    return min(labels, key=lambda label: (-labels[label], label))


def _parse(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.blind", description=__doc__)
    parser.add_argument("--scenes", type=Path, default=Path("data/scenes"))
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args(args)


if __name__ == "__main__":
    main()
