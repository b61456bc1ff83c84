"""What ten million pairs would cost the reader, measured on stand-ins; docs/scale.md reads it.

The index is a real one of so many shards, but all its lines name the same file; so opening and
ordering cost what they would, and no disk is filled.
"""

import json
import tarfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from jsonargparse import auto_cli

from benchmarks.clock import machine, resident_mib
from benchmarks.loader import RESULTS
from benchmarks.memory import repeat
from benchmarks.pictures import smooth_pairs
from data_modules.order import TrainPlan, epoch_positions
from data_modules.shards import INDEX, ShardSet
from data_modules.tar import TarShard
from data_modules.write import write_shards
from softmask.provenance import commit

WINDOW = 10_000
GLOBAL_BATCH = 512


def main(
    shards: int = 10_000, shard_size: int = 1000, rounds: int = 5, output: Path = RESULTS
) -> None:
    """Measure index, order, resume and shard scans, print and record them.

    Args:
        shards: lines of the index.
        shard_size: pairs in the one shard.
        rounds: repetitions; the median counts.
        output: folder of the result file, scale.json.
    """
    with TemporaryDirectory() as folder:
        found = measure(Path(folder), shards, shard_size, rounds)
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "commit": commit(),
        **found,
    }
    output.mkdir(parents=True, exist_ok=True)
    (output / "scale.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def measure(folder: Path, shards: int, shard_size: int, rounds: int) -> dict[str, Any]:
    """Measure in CPU milliseconds.

    Args:
        folder: empty, for the shard and the index.
        shards: lines of the index.
        shard_size: pairs in the one shard.
        rounds: repetitions; the median counts.
    """
    write_shards(smooth_pairs(shard_size, (64, 64)), folder, shard_size=shard_size)
    repeat(folder / INDEX, shards)
    before = resident_mib()
    opened = ShardSet(str(folder))
    grown = resident_mib() - before
    file = folder / "00000.tar"
    places = shards * shard_size
    last = places // GLOBAL_BATCH - 1

    def order(epoch: int, start: int) -> Callable[[], object]:
        return lambda: epoch_positions(
            opened.counts, epoch, epoch, WINDOW, start, start + GLOBAL_BATCH
        )

    plan = TrainPlan(opened.counts, GLOBAL_BATCH, rank=0, world=1, seed=0, window=WINDOW)
    plan(0, 0)
    return {
        "shards": shards,
        "shard_size": shard_size,
        "window": WINDOW,
        "global_batch": GLOBAL_BATCH,
        "index_mb": round((folder / INDEX).stat().st_size / 1e6, 2),
        "index_mib_in_memory": round(grown, 1),
        "open_ms": milliseconds([lambda: ShardSet(str(folder))] * rounds),
        # Another epoch each time: nothing is remembered of it.
        "begin_ms": milliseconds([order(epoch, 0) for epoch in range(rounds)]),
        "resume_last_ms": milliseconds(
            [order(100 + epoch, last * GLOBAL_BATCH) for epoch in range(rounds)]
        ),
        "step_ms": milliseconds([partial(plan, 0, step) for step in range(1, 8)]),
        "scan_ms": milliseconds([lambda: TarShard(file)] * rounds),
        "tarfile_ms": milliseconds([lambda: tarfile_names(file)] * rounds),
        "read_ms": milliseconds([lambda: read_all(opened, shard_size)] * rounds, shard_size),
    }


def read_all(shards: ShardSet, count: int) -> None:
    """Read the first samples."""
    for position in range(count):
        shards.read(position)


def tarfile_names(file: Path) -> list[str]:
    """List a tar as Python's own library does."""
    with tarfile.open(file) as tar:
        return tar.getnames()


def milliseconds(runs: list[Callable[[], object]], share: int = 1) -> float:
    """Give the median CPU time of some runs, or a share of it."""
    taken = []
    for run in runs:
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return round(median(taken) * 1000 / share, 4)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
