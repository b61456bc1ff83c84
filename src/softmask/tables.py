"""Results as lines of text."""

from collections.abc import Mapping
from typing import Any


def recall_table(report: Mapping[str, Any], corpus: str) -> str:
    """The recalls of a report in percent, beside chance, as lines of text."""
    lines = [
        f"Retrieval on {corpus}: {report['test_size']} images, "
        f"chance R@1 {100 * report['chance_r1']:.1f} %",
        f"{'':24}{'R@1':>7}{'R@5':>7}{'R@10':>7}",
    ]
    scores = {"itc": "contrastive", "itm": "re-ranked"}
    directions = {"i2t": "image->text", "t2i": "text->image"}
    for key, name in scores.items():
        for direction, arrow in directions.items():
            if key in report:
                values = report[key][direction].values()
                cells = "".join(f"{100 * v:7.1f}" for v in values)
                lines.append(f"{name:<12}{arrow:<12}{cells}")
    return "\n".join(lines)


def class_table(report: Mapping[str, Any], title: str) -> str:
    """Accuracies of a classification in percent, beside the commonest class, as lines of text."""
    rows = {
        name: report[name] for name in ("accuracy", "majority", "consistency") if name in report
    }
    rows |= {f"  {name}": share for name, share in report["per_class"].items() if share is not None}
    lines = [f"{title}: {report['count']} samples"]
    lines += [f"{name:<24}{100 * share:7.2f} %" for name, share in rows.items()]
    if report["unknown"]:
        lines.append(f"{report['unknown']} samples without a known label are left out")
    return "\n".join(lines)


def question_table(report: Mapping[str, Any], title: str) -> str:
    """Accuracies of answers in percent, beside the commonest answer, as lines of text."""
    lines = [f"{title}: {report['questions']} questions"]
    rows = {name: report[name] for name in ("accuracy", "majority") if name in report}
    rows |= {f"  {name}": share for name, share in report.get("by_type", {}).items()}
    lines += [f"{name:<34}{100 * share:7.2f} %" for name, share in rows.items()]
    if report["without_answers"]:
        lines.append(f"{report['without_answers']} questions without answers are not scored")
    return "\n".join(lines)
