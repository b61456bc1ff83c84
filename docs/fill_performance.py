"""Writes the recorded steps, benchmarks/results/step-*.json and scaling.json, into performance.md.

What was not recorded, or not measured in a record, is called so.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fill_readme import between

ROOT = Path(__file__).parent.parent
STEPS = ("step-cpu-small", "step-cpu-full", "step-gpu", "step-gpu-compiled")
RECORDS = (*STEPS, "scaling", "search-cpu")
MISSING = "not measured"
HEAD = ["", "ms a step", "samples/s", "MFU", "GiB", "CAM", "update", "waits", "calls", "idle"]
RATIOS = {
    "lavis_over_albef": "LAVIS / ours as ALBEF",
    "lavis_over_bf16_twins": "LAVIS / ours as ALBEF with twins in bfloat16",
    "lavis_kept_over_albef": "LAVIS that keeps freed memory too / ours as ALBEF",
    "lavis_over_softmask": "LAVIS / ours as SoftMask++",
    "softmask_over_albef": "SoftMask++ / ALBEF, both ours",
    "masks_over_albef": "ALBEF with soft masks / ALBEF, both ours",
}
Record = Mapping[str, Any]
Rows = Mapping[tuple[int, str], Record]
"""What was found, by batch and name."""
Judge = Callable[[Rows, str], str]
"""Writes a figure of the rows in a way of running."""


def filled(page: str, records: Mapping[str, Record]) -> str:
    """Put the records, by name, between the marks of the page."""
    for name in STEPS:
        page = between(page, name, steps(records.get(name)))
    page = between(page, "goals", goals(records))
    page = between(page, "search", searching(records.get("search-cpu")))
    page = between(page, "scaling", scaling(records.get("scaling")))
    return between(page, "arithmetic", arithmetic(records.get("scaling")))


def table(rows: list[list[str]]) -> str:
    """Write rows of cells as Markdown, the first as its head."""
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def steps(record: Record | None) -> str:
    """Write what a preset found."""
    if record is None:
        return f"Steps, MFU, memory: {MISSING}.\n"
    said = ""
    for batch in record["batches"]:
        size = batch["size"]
        if not any(batch["rows"].values()):
            said += f"Batch {size['batch']}: {MISSING}.\n\n"
            continue
        rows = [HEAD] + [[f"`{name}`", *cells(row)] for name, row in batch["rows"].items()]
        ratios = [["ratio of times", ""]]
        ratios += [[RATIOS[n], f"{each:.2f}"] for n, each in batch["ratios"].items() if each]
        said += (
            f"Width {size['width']}, {size['layers']} + {size['text_layers']} + "
            f"{size['fusion_layers']} layers, {size['image']} pixels, {size['tokens']} tokens, "
            f"queue {size['queue']:,}, batch {size['batch']}; "
            f"{counted(batch)} steps each.\n\n{table(rows)}\n"
        )
        said += f"{table(ratios)}\n" if ratios[1:] else ""
    note = f"{record['note']}\n\n" if "note" in record else ""
    return f"{said}{note}{where(record)}"


def counted(batch: Record) -> str:
    """Write over how many steps the times are medians."""
    return " or ".join(map(str, sorted({row["steps"] for row in batch["rows"].values() if row})))


def cells(row: Record | None) -> list[str]:
    """Write the figures of a rival."""
    if row is None:
        return [MISSING, *[""] * (len(HEAD) - 2)]
    return [
        shown(row["step_ms"], "{:,.0f}"),
        shown(row["samples_per_s"], "{:,.2f}"),
        shown(row["mfu"], "{:.1%}"),
        shown(row.get("peak_gib"), "{:.1f}"),
        shown(row["cam_share"], "{:.1%}"),
        shown(row["update_share"], "{:.1%}"),
        shown(row["host_syncs"], "{:,}"),
        shown(row["calls"], "{:,}"),
        shown(row.get("idle"), "{:.1%}"),
    ]


def goals(records: Mapping[str, Record]) -> str:
    """Write what was wanted on a GPU beside what was found in each of the fast ways."""
    found = [records[name] for name in STEPS[2:] if name in records]
    rows = {
        (batch["size"]["batch"], name): row
        for record in found
        for batch in record["batches"]
        for name, row in batch["rows"].items()
        if row
    }
    said = [["goal", "wanted", "replayed", "compiled and replayed"]]
    ways = ("/replayed", "/compiled/replayed")
    for text, wanted, judge in GOALS:
        said.append([text, wanted, *(_judged(judge, rows, way) for way in ways)])
    for way in ("", "/replayed"):
        asked = [record[f"lightning{way}"] for record in found if f"lightning{way}" in record]
        share = f"{asked[0]['overhead']:+.0%}" if asked else MISSING
        text = f"share of Lightning's Trainer, {'replayed' if way else 'eager'}"
        said.append([text, "<= 2 %", share, ""])
    return table(said)


def _judged(judge: Judge, rows: Rows, way: str) -> str:
    try:
        return judge(rows, way)
    except KeyError:
        return MISSING


def _times(slow: str, fast: str, batch: int = 64) -> Judge:
    """How many times as long one takes; * in a name stands for the way."""

    def judge(rows: Rows, way: str) -> str:
        one, other = (rows[batch, name.replace("*", way)]["step_ms"] for name in (slow, fast))
        return f"{one / other:.2f}"

    return judge


def _mfu(batch: int) -> Judge:
    return lambda rows, way: f"{rows[batch, f'softmask{way}']['mfu']:.1%}"


GOALS: tuple[tuple[str, str, Judge], ...] = (
    ("LAVIS as shipped / ours as ALBEF", ">= 5", _times("lavis", "albef*")),
    ("LAVIS in bfloat16 / ours as ALBEF", ">= 2", _times("lavis/bf16", "albef*")),
    ("MFU of SoftMask++, batch 64", ">= 45 %", _mfu(64)),
    ("MFU of SoftMask++, batch 128", ">= 48 %", _mfu(128)),
    ("MFU of SoftMask++, batch 256", ">= 50 %", _mfu(256)),
    ("SoftMask++ / ALBEF, both ours", "<= 1.10", _times("softmask*", "albef*")),
    ("ALBEF with soft masks / ALBEF, both ours", "<= 1.10", _times("masks*", "albef*")),
    ("waits of the host", "0", lambda rows, way: f"{rows[64, f'softmask{way}']['host_syncs']}"),
    ("idle time", "<= 5 %", lambda rows, way: f"{rows[64, f'softmask{way}']['idle']:.1%}"),
)


def shown(value: float | None, form: str) -> str:
    """Write a figure, or a dash."""
    return "-" if value is None else form.format(value)


def scaling(record: Record | None) -> str:
    """Write what one and two processes took."""
    if record is None:
        return f"One and two processes: {MISSING}.\n"
    one, two = record["step_ms"].values()
    rows = [["processes", "ms a step", "efficiency"], ["1", f"{one:,.0f}", "1.00"]]
    rows.append(["2", f"{two:,.0f}", f"{record['efficiency']:.2f}"])
    return f"{table(rows)}\nLoad of the machine at the start: {record['load'][0]}. {where(record)}"


def arithmetic(record: Record | None) -> str:
    """Write what is computed for many GPUs."""
    if record is None:
        return "Not computed.\n"
    paper = record["arithmetic"]
    rows = [["GPUs", "reduce, ms", "gather, ms", "ms a step", "efficiency", "samples/s"]]
    rows += [
        [
            *(str(row["gpus"]), f"{row['reduce_ms']:.1f}", f"{row['gather_ms']:.1f}"),
            *(f"{row['step_ms']:.1f}", f"{row['efficiency']:.2f}", f"{row['samples_per_s']:,}"),
        ]
        for row in paper["rows"]
    ]
    return (
        f"{table(rows)}\nFrom {paper['compute_ms']:.1f} ms of compute ({paper['compute']}) and "
        f"{paper['bytes_reduced'] / 1e6:,.0f} MB of gradients.\n"
    )


def searching(record: Record | None) -> str:
    """Write how long a question to an index takes."""
    if record is None:
        return f"Search: {MISSING}.\n"
    again = record["query_reranked_ms"] - record["query_ms"]
    rows = [
        [f"{record['rows']:,} pictures, {record['threads']} threads", ""],
        ["a question, at most 100 ms wanted", f"{record['query_ms']:,.1f} ms"],
        ["of it, comparing with every feature", f"{record['compare_ms']:,.1f} ms"],
        [f"judging the best {record['candidates']} again, more", f"{again:,.0f} ms"],
        ["loading the features", f"{record['load_ms']:,.1f} ms"],
        ["`from softmask import SoftMask` in a fresh Python", f"{record['import_s']:.1f} s"],
    ]
    return f"{table(rows)}\n{where(record)}"


def where(record: Record) -> str:
    """Write on what a record was taken."""
    made = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    device = f"{record['device']} of " if "device" in record else ""
    return f"{device}{record['machine']}; {made}; commit {record['commit']}.\n"


def read_records(folder: Path = ROOT / "benchmarks" / "results") -> dict[str, Record]:
    """Read the records that are there, by name."""
    files = {name: folder / f"{name}.json" for name in RECORDS}
    return {name: json.loads(f.read_text()) for name, f in files.items() if f.is_file()}


if __name__ == "__main__":
    path = ROOT / "docs" / "performance.md"
    path.write_text(filled(path.read_text(), read_records()))
