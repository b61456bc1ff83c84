"""Writes the demo's recorded result, docs/results/demo/report.json, into README.md."""

import json
from pathlib import Path

from softmask.callbacks import table

ROOT = Path(__file__).parent.parent
OPEN, CLOSE = "<!-- demo -->", "<!-- /demo -->"


def filled(readme: str, report: dict[str, object]) -> str:
    """Put the table of a report between the marks of a README."""
    before, _, rest = readme.partition(OPEN)
    after = rest.partition(CLOSE)[2]
    minutes = float(str(report["train_seconds"])) / 60
    said = (
        f"{report['steps']} steps took {minutes:.1f} minutes on two CPU cores and ended with\n\n"
        f"```\n{table(report)}\n```\n"
    )
    return f"{before}{OPEN}\n{said}{CLOSE}{after}"


if __name__ == "__main__":
    recorded = json.loads((ROOT / "docs/results/demo/report.json").read_text())
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text(), recorded))
