"""Results as lines of text."""

from collections.abc import Mapping
from typing import Any

SCORES = {"itc": "contrastive", "itm": "re-ranked"}
WORST = 5
"""Classes that a table names."""
CELL = 14
"""Columns that an interval takes, with a space before it."""


def recall_table(report: Mapping[str, Any], corpus: str) -> str:
    """The recalls of a report in percent with their intervals, beside chance, as lines of text."""
    lines = [
        f"Retrieval on {corpus}: {report['test_size']} images, "
        f"chance R@1 {100 * report['chance_r1']:.1f} %"
    ]
    directions = {"i2t": "image->text", "t2i": "text->image"}
    rows = [
        (f"{name:<12}{arrow:<12}", report[key][direction])
        for key, name in SCORES.items()
        for direction, arrow in directions.items()
        if key in report
    ]
    wide = CELL if any("interval" in recalls for _, recalls in rows) else 0
    lines.append(f"{'':24}" + "".join(f"{f'R@{k}':>7}{'':{wide}}" for k in (1, 5, 10)).rstrip())
    return "\n".join([*lines, *(title + share_cells(recalls) for title, recalls in rows)])


def top_k_table(report: Mapping[str, Any], corpus: str) -> str:
    """Top-1 and top-5 of a report in percent with their intervals, beside chance."""
    lines = [
        f"Zero-shot classification on {corpus}: {report['test_size']} images, "
        f"{report['classes']} classes, chance top-1 {100 * report['chance_top1']:.1f} %",
        f"{'':24}" + "".join(f"{f'top-{k}':>7}{'':{CELL}}" for k in (1, 5)).rstrip(),
    ]
    for key, name in SCORES.items():
        if key in report:
            shares = {k: report[key][k] for k in ("top1", "top5", "interval")}
            lines.append(f"{name:<24}{share_cells(shares)}")
    best = report["itm" if "itm" in report else "itc"]["per_class"]
    worst = sorted(best, key=lambda name: best[name])[:WORST]
    told = ", ".join(f"{name} {100 * best[name]:.0f} %" for name in worst)
    return "\n".join([*lines, f"Lowest top-1 by class: {told}"])


def share_cells(shares: Mapping[str, Any], width: int = 7) -> str:
    """Shares in percent, each with its interval in brackets where there is one."""
    intervals = shares.get("interval", {})
    cells = []
    for name, share in shares.items():
        if name == "interval":
            continue
        cells.append(f"{100 * share:{width}.1f}")
        if name in intervals:
            low, high = (f"{100 * end:.1f}" for end in intervals[name])
            cells.append(f" {f'[{low}, {high}]':<{CELL - 1}}")
    return "".join(cells).rstrip()


def grounding_table(report: Mapping[str, Any], corpus: str) -> str:
    """The shares of a grounding report in percent with their intervals, a line for each part."""
    titles = {
        "iou_accuracy": "box right",
        "random_box": "any box",
        "pointing": "points in",
        "centre": "centre in",
        "energy": "energy in",
        "box_share": "box area",
    }
    shown = [name for name in titles if name in report]
    parts = [("all", report), *report.get("splits", {}).items()]
    heads = [
        f"{titles[name]:>10}{'':{CELL if name in report['interval'] else 0}}" for name in shown
    ]
    lines = [f"Grounding on {corpus}: {report['count']} expressions", f"{'':18}" + "".join(heads)]
    for name, part in parts:
        shares = {key: part[key] for key in shown} | {"interval": part["interval"]}
        lines.append(f"{name:<12}{part['count']:>6}" + share_cells(shares, 10))
    return "\n".join(line.rstrip() for line in lines)


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
    rows = [(name, report[name]) for name in ("accuracy", "majority") if name in report]
    for types in ("by_answer_type", "by_type"):  # which may share names
        rows += [(f"  {name}", share) for name, share in report.get(types, {}).items()]
    lines += [f"{name:<34}{100 * share:7.2f} %" for name, share in rows]
    if report["without_answers"]:
        lines.append(f"{report['without_answers']} questions without answers are not scored")
    return "\n".join(lines)
