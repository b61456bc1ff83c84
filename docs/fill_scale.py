"""Writes the recorded measurements, benchmarks/results/*.json, into docs/scale.md."""

import json
from pathlib import Path
from typing import Any

from fill_readme import between

ROOT = Path(__file__).parent.parent
PAIRS = 10_000_000
KILOBYTES = 30.0
"""A picture of 288 pixels at quality 90, and its caption."""
HOSTS, DEVICES, WORKERS, CORES = 2, 8, 8, 96


def filled(page: str, scale: dict[str, Any], loader: dict[str, Any], step: dict[str, Any]) -> str:
    """Put all results between the marks of the page."""
    page = between(page, "measured", measured(scale, loader))
    page = between(page, "plan", plan(scale, loader, step))
    return between(page, "scan", scan(scale, loader))


def table(rows: list[tuple[str, str, str]], head: tuple[str, str, str]) -> str:
    """Write rows of three cells as Markdown."""
    lines = [head, ("---", "---", "---"), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def measured(scale: dict[str, Any], loader: dict[str, Any]) -> str:
    """Write what was measured."""
    lines, size = f"{scale['shards']:,}", f"{scale['shard_size']:,}"
    batch, memory = scale["global_batch"], loader.get("memory")
    rows = [
        ("pictures/s on a core, all a worker does", f"{loader['ours']:,.0f}", loader["pictures"]),
        ("bare decoding on a core", f"{loader['decode']:,.0f}", loader["decoder"]),
        ("the index, on disk", f"{scale['index_mb']:.1f} MB", f"{lines} lines"),
        ("the same, in memory", f"{scale['index_mib_in_memory']:.1f} MiB", "of each process"),
        ("opening the set", f"{scale['open_ms']:.0f} ms", "the shards are only looked for"),
        ("the first step of an epoch", f"{scale['begin_ms']:.2f} ms", f"{batch} places"),
        ("resuming at its last step", f"{scale['resume_last_ms']:.2f} ms", "the same work"),
        ("another step", f"{scale['step_ms']:.2f} ms", f"{batch} places"),
        ("looking through a shard", f"{scale['scan_ms']:.0f} ms", f"{size} pairs, at first touch"),
        ("the same by Python's tarfile", f"{scale['tarfile_ms']:.0f} ms", "to compare"),
        ("reading a pair of it", f"{scale['read_ms'] * 1000:.0f} us", "cached by the system"),
    ]
    if memory:
        grown = f"{memory['grown_mib']:+.1f} MiB"
        rows.append(("growth of a worker's memory", grown, f"over {memory['samples']:,} samples"))
    return table(rows, ("what", "measured", "of")) + (
        f"\n{scale['machine']}; CPU time, medians; commits {scale['commit']} and "
        f"{loader['commit']}.\n"
    )


def demand(step: dict[str, Any]) -> int:
    """Pictures a second that a device was measured to take, at its best batch."""
    rows = [row for batch in step["batches"] for row in batch["rows"].values() if row]
    return round(max(row["samples_per_s"] for row in rows))


def plan(scale: dict[str, Any], loader: dict[str, Any], step: dict[str, Any]) -> str:
    """Write what follows for the whole set: extrapolated."""
    each = demand(step)
    shards = PAIRS // scale["shard_size"]
    wanted = each * DEVICES
    busy = wanted / loader["ours"]
    megabytes = scale["shard_size"] * KILOBYTES / 1000
    rows = [
        ("shards", f"{shards:,} of {megabytes:.0f} MB", f"{scale['shard_size']:,} pairs each"),
        ("on disk, each host", f"{PAIRS * KILOBYTES / 1e6:.0f} GB", f"{KILOBYTES:g} KB a pair"),
        ("pictures/s, each host", f"{wanted:,}", f"{DEVICES} devices, {each:,} each"),
        ("read from its disk", f"{wanted * KILOBYTES / 1000:.0f} MB/s", "at random"),
        ("cores at work", f"{busy:.0f} of {CORES}", f"at {loader['ours']:,.0f} pictures/s a core"),
        ("an epoch", f"{PAIRS / wanted / HOSTS / 60:.0f} minutes", f"on {HOSTS} hosts"),
        ("copy to a host, once", f"{PAIRS * KILOBYTES / 1.25e6 / 60:.0f} minutes", "at 10 Gbit/s"),
        ("checkpoint's part", "a few numbers", "whatever the place"),
    ]
    return table(rows, ("what", "extrapolated", "from"))


def scan(scale: dict[str, Any], loader: dict[str, Any]) -> str:
    """Write what looking through shards adds to a pair: extrapolated."""
    own = 1000 / loader["ours"]
    rows = []
    for readers in (1, 8, DEVICES * WORKERS, HOSTS * DEVICES * WORKERS):
        share = scale["shard_size"] / readers
        added = scale["scan_ms"] / share
        rows.append((f"{readers}", f"{share:.0f}", f"{added:.2f} ms, beside {own:.2f} ms"))
    return table(rows, ("workers in all", "pairs each reads of a shard", "looking adds to a pair"))


if __name__ == "__main__":
    results = ROOT / "benchmarks" / "results"
    scale_result = json.loads((results / "scale.json").read_text())
    loader_result = json.loads((results / "loader-openstax.json").read_text())
    step_result = json.loads((results / "step-gpu-compiled.json").read_text())
    path = ROOT / "docs" / "scale.md"
    path.write_text(filled(path.read_text(), scale_result, loader_result, step_result))
