"""Pictures a second and core of the training data: ours, a naive pipeline, and bare decoding.

All run on one core over the same samples, in turns, and are timed by the CPU's clock, so a
busy machine does not change the ratios much. Ours is all that a worker does: read the shard,
decode, distort, tokenise, mask, collate to uint8. For the naive one see benchmarks/naive.py.

Bare decoding is timed twice. "decode" keeps all pictures to the end of its turn and so pays for
fresh memory, too; "decode_dropped" lets each go at once, so that the next one comes into memory
that is warm: the stricter measure.
"""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import simplejpeg  # type: ignore[import-untyped]
import torch
from jsonargparse import auto_cli

from benchmarks.clock import ROOT, machine, race, ratio
from benchmarks.memory import memory
from benchmarks.naive import Naive
from benchmarks.pictures import mean_sides, real_pairs, smooth_pairs
from data_modules import Distortion, PretrainData
from data_modules.decode import Pixels
from data_modules.write import Pair, write_shards
from softmask.provenance import commit

RESULTS = ROOT / "benchmarks" / "results"
PICTURES = ROOT.parent / "shared" / "data" / "openstax_ccby.tar"
BATCH = 64
GOALS = {"naive_over_ours": (5.0, "at least"), "ours_over_decode": (2.0, "at most")}


def main(
    name: str | None = None,
    pictures: Path = PICTURES,
    samples: int = 512,
    rounds: int = 7,
    size: int = 256,
    memory_samples: int = 100_000,
    output: Path = RESULTS,
) -> None:
    """Measure the training data's speed and memory, print and record them.

    Args:
        name: of the result file; by default where the pictures come from.
        pictures: a tar with captions.jsonl; smooth ones are made where it is not there.
        samples: pairs to measure with, in whole batches of 64 at best.
        rounds: turns of each rival.
        size: side of the training pictures in pixels.
        memory_samples: samples of the epoch in which a worker's memory is watched; 0 for none.
        output: folder of the result file.
    """
    real = pictures.is_file()
    pairs = list(real_pairs(pictures, samples) if real else smooth_pairs(samples))
    name = name or (pictures.stem.partition("_")[0] if real else "smooth")
    result = {
        "name": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "commit": commit(),
        "pictures": f"{len(pairs)} of {pictures.name}" if real else f"{len(pairs)} smooth ones",
        "mean_sides": mean_sides(pairs),
        **speed(pairs, rounds, size),
    }
    print(report(result))
    if memory_samples:
        with TemporaryDirectory() as folder:
            result["memory"] = memory(Path(folder), memory_samples)
        print(report_memory(result["memory"]))
    output.mkdir(parents=True, exist_ok=True)
    file = output / f"loader-{name}.json"
    file.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {file}")


def speed(pairs: list[Pair], rounds: int, size: int) -> dict[str, Any]:
    """Race them over the same pairs.

    Args:
        pairs: with JPEGs.
        rounds: turns of each.
        size: side of the training pictures in pixels.

    Returns:
        Pictures a second and core of all four, and the ratios.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    random.seed(0)
    torch.manual_seed(0)
    with TemporaryDirectory() as folder:
        rivals = {
            "ours": ours(pairs, Path(folder) / "shards", size),
            "naive": naive(pairs, Path(folder) / "files", size),
            "decode": lambda: [decode(pair.image) for pair in pairs],
            "decode_dropped": lambda: sum(len(decode(pair.image)) for pair in pairs),
        }
        taken = race(rivals, rounds)
    return {
        **{name: round(len(pairs) / median(each), 1) for name, each in taken.items()},
        "naive_over_ours": round(ratio(taken, "naive", "ours"), 2),
        "ours_over_decode": round(ratio(taken, "ours", "decode"), 2),
        "ours_over_decode_dropped": round(ratio(taken, "ours", "decode_dropped"), 2),
        "decoder": "simplejpeg",
        "rounds": rounds,
        "size": size,
    }


def ours(pairs: list[Pair], folder: Path, size: int) -> Callable[[], object]:
    """Give a pass over the training data, one epoch after another."""
    write_shards(pairs, folder)
    data = PretrainData(str(folder), image_size=size, batch_size=min(BATCH, len(pairs)), workers=0)
    loader = data.train_dataloader()
    return lambda: [len(batch["key"]) for batch in loader]


def naive(pairs: list[Pair], folder: Path, size: int) -> Callable[[], object]:
    """Give a pass of the naive pipeline."""
    folder.mkdir()
    files = [folder / f"{pair.key}.jpg" for pair in pairs]
    for pair, file in zip(pairs, files, strict=True):
        file.write_bytes(pair.image)
    captions = [pair.captions[0] for pair in pairs]
    make = Naive(Distortion(), size)
    parts = [slice(start, start + BATCH) for start in range(0, len(pairs), BATCH)]
    return lambda: [len(make(files[part], captions[part])) for part in parts]


def decode(data: bytes) -> Pixels:
    """Decode as fast as is known here; ours takes the exact settings of the same library."""
    return np.asarray(simplejpeg.decode_jpeg(data, fastdct=True, fastupsample=True))


def report(result: dict[str, Any]) -> str:
    """Write the figures of a result in lines."""
    width, height = result["mean_sides"]
    lines = [f"{result['pictures']}, {width} x {height} on average, to {result['size']}"]
    lines += [
        f"  {name:<14} {result[name]:>8.1f} pictures/s/core"
        for name in ("ours", "naive", "decode", "decode_dropped")
    ]
    for name, (goal, bound) in GOALS.items():
        met = result[name] >= goal if bound == "at least" else result[name] <= goal
        verdict = "met" if met else "missed"
        lines.append(f"  {name:<17} {result[name]:>5.2f}, {bound} {goal:g} wanted: {verdict}")
    lines.append(f"  {'over dropped':<17} {result['ours_over_decode_dropped']:>5.2f}")
    return "\n".join(lines)


def report_memory(memory: dict[str, Any]) -> str:
    """Write a worker's memory in lines."""
    points = "  ".join(f"{point:.0f}" for point in memory["resident_mib"])
    return (
        f"a worker's memory over {memory['samples']} samples, MiB: {points}\n"
        f"  grown by {memory['grown_mib']:.1f} MiB"
    )


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
