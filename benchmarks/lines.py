"""Lines of docs/results/<data>.jsonl: one for each run of the ablation."""

import json
from pathlib import Path
from typing import Any

Line = dict[str, Any]

KEYS = ("data", "row", "seed", "steps", "preset", "device", "budget")
"""What tells runs apart."""


def read_lines(file: Path) -> list[Line]:
    """All lines of a file; none if it is not there."""
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


def same_run(plan: object, line: Line) -> bool:
    """Whether a line is a plan's."""
    return all(getattr(plan, key) == line[key] for key in KEYS)
