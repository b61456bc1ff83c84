"""Writes the demo's recorded result, docs/results/demo/report.json, into README.md."""

import json
from pathlib import Path

from softmask.tables import recall_table

ROOT = Path(__file__).parent.parent


def between(text: str, name: str, said: str) -> str:
    """Put lines between the marks <!-- name --> and <!-- /name --> of a text."""
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, _, rest = text.partition(opening)
    return f"{before}{opening}\n{said}{closing}{rest.partition(closing)[2]}"


def filled(readme: str, report: dict[str, object]) -> str:
    """Put the table of a report between the marks of a README."""
    minutes = float(str(report["train_seconds"])) / 60
    said = (
        f"{report['steps']} steps took {minutes:.1f} minutes on two CPU cores and ended with\n\n"
        f"```\n{recall_table(report, str(report['corpus']))}\n```\n"
    )
    return between(readme, "demo", said)


if __name__ == "__main__":
    recorded = json.loads((ROOT / "docs/results/demo/report.json").read_text())
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text(), recorded))
