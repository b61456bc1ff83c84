"""`softmask data check`: every sample read and decoded, and what that means for a run."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]

from data_modules.decode import MAX_PIXELS
from data_modules.duplicates import duplicate_ids, duplicate_keys
from data_modules.examine import Examined, Findings, ShardJob, examine
from data_modules.parallel import in_processes
from data_modules.progress import Progress
from data_modules.reasons import Reason
from data_modules.shards import INDEX, _find_local, read_index, tars_in
from data_modules.text import TextOptions
from softmask.errors import InputError
from softmask.whole import write_text_whole

FORMAT = "softmask-check-1"


def check_shards(
    path: str,
    report: Path | None = None,
    workers: int = 0,
    ranks: int = 1,
    batch_size: int = 64,
    max_pixels: int = MAX_PIXELS,
    text: TextOptions = TextOptions(),  # noqa: B008 (frozen)
) -> None:
    """Read and decode every sample of a shard set; exit code 1 if any is bad.

    What tasks read of a sample's json, labels, answers, boxes and ids, is looked at where half of a
    shard's samples have it.

    Broken off and started again with the same report, it continues.

    Args:
        path: shards on this machine: a folder, an index.json, a .tar, or a pattern.
        report: file for the findings as JSON.
        workers: processes; 0 does all in this one.
        ranks: devices of a run that is planned, for the steps of an epoch.
        batch_size: of the same run, on each device.
        max_pixels: as in the run's data.init_args.max_pixels.
        text: as in the run's data.init_args.text.

    Raises:
        InputError: if there are no shards, or a number cannot be used.
        SystemExit: with code 1, if there are problems.
    """
    for name, value in (("ranks", ranks), ("batch_size", batch_size), ("max_pixels", max_pixels)):
        if value < 1:
            raise InputError(f"{name} is {value}: give 1 or more.")
    jobs = [ShardJob(*listed, max_pixels, text) for listed in listed_shards(path)]
    # What was found before json was looked at is found anew.
    options = {"max_pixels": max_pixels, "text": asdict(text), "fields": True}
    progress = Progress(report, options)
    # By name: processes end in any order, and a report is the same each time.
    examined = sorted(_examined(jobs, progress, path, workers), key=lambda one: one.file)
    found = Findings()
    for one in examined:
        found.add(one.findings)
    for example in duplicate_keys(examined):
        found.note(Reason.DUPLICATE_KEY, example)
    for example in duplicate_ids(examined):
        found.note(Reason.DUPLICATE_ID, example)
    # Of all samples: training replaces bad ones, each in its place.
    made = summary(path, len(jobs), found, steps(found.samples, ranks, batch_size))
    print(as_text(made))
    if report is not None:
        write_text_whole(report, json.dumps(made, indent=1) + "\n")
        progress.delete()
        print(f"written: {report}")
    if found.problems:
        raise SystemExit(1)


def _examined(
    jobs: Sequence[ShardJob], progress: Progress, path: str, workers: int
) -> Iterator[Examined]:
    """Give what is known of shards, then look at the others."""
    left = {job.file: job for job in jobs if job.state not in progress.done}
    for job in jobs:
        if job.file not in left:
            yield Examined.of_json(job.file, progress.done[job.state])
    with tqdm(desc=path, total=len(jobs), initial=len(jobs) - len(left), unit="shard") as bar:
        for one in in_processes(examine, left.values(), workers):
            progress.add(left[one.file].state, one.as_json())
            bar.update()
            yield one


def listed_shards(path: str) -> list[tuple[Path, int | None, str | None]]:
    """Give the shards, and counts and hashes if an index says them; a shard may be missing.

    Raises:
        InputError: if there are none.
    """
    place = Path(path)
    index = place if place.name == INDEX else place / INDEX
    if index.is_file():
        lines = read_index(index)["shards"]
        found = [(index.parent / line["name"], line["count"], line.get("sha256")) for line in lines]
    elif place.is_dir():
        found = [(file, None, None) for file in tars_in(place)]
    else:
        found = [(Path(str(file)), None, None) for file in _find_local(path).places]
    if not found:
        raise InputError(f"No shards at {path!r}: give the folder that holds them.")
    return found


def steps(samples: int, ranks: int, batch_size: int) -> dict[str, int]:
    """Do the arithmetic of an epoch; any number of workers shares the same steps."""
    taken, left = divmod(samples, ranks * batch_size)
    return {
        "samples": samples,
        "ranks": ranks,
        "batch_size": batch_size,
        "global_batch": ranks * batch_size,
        "steps_per_epoch": taken,
        "left_over": left,
    }


def summary(path: str, shards: int, found: Findings, arithmetic: dict[str, int]) -> dict[str, Any]:
    """Give the findings as what JSON can hold."""
    problems = {
        reason: {"count": count, "examples": [e._asdict() for e in found.examples[reason]]}
        for reason, count in _by_count(found.problems)
    }
    return {
        "format": FORMAT,
        "path": path,
        "shards": shards,
        "samples": found.samples,
        "good": found.good,
        "problems": problems,
        "mended": dict(_by_count(found.mended)),
        "fields": dict(_by_count(found.fields)),
        "epoch": arithmetic,
    }


def as_text(made: dict[str, Any]) -> str:
    """Lay a summary out for a terminal."""
    lines = [f"{made['shards']} shards, {made['samples']} samples, {made['good']} good"]
    for reason, problem in made["problems"].items():
        lines.append(f"{reason:20} {problem['count']:8}")
        lines += [
            f"    {' '.join(filter(None, (e['shard'], repr(e['key']) if e['key'] else '')))} "
            f"{e['detail']}"
            for e in problem["examples"]
        ]
    if made["mended"]:
        mended = ", ".join(f"{name} {count}" for name, count in made["mended"].items())
        lines.append(f"mended while reading: {mended}")
    if made["fields"]:
        fields = ", ".join(f"{name} {count}" for name, count in made["fields"].items())
        lines.append(f"good as tasks read them: {fields}")
    epoch = made["epoch"]
    lines.append(
        f"an epoch of {epoch['ranks']} ranks x {epoch['batch_size']} samples: "
        f"{epoch['steps_per_epoch']} steps, {epoch['left_over']} samples left over"
    )
    if epoch["samples"] and not epoch["steps_per_epoch"]:
        most = epoch["samples"] // epoch["ranks"]
        one = f"lower ranks to {epoch['samples']} and batch_size to 1"
        mend = f"lower batch_size to {most}" if most else one
        lines.append(f"too few samples for a step: {mend}")
    return "\n".join(lines)


def _by_count(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
