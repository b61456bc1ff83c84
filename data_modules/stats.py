"""What a data set holds: as text, as JSON, and as a page to look at."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped]

from data_modules.contents import IMAGES, captions, sides
from data_modules.decode import Pixels, decode
from data_modules.page import Picture, page
from data_modules.parallel import in_processes
from data_modules.progress import Progress
from data_modules.reasons import BadSample
from data_modules.shards import Sample, ShardSet
from data_modules.shrink import shrink
from data_modules.tally import Tally, TallyJob, tally_job
from softmask.errors import InputError
from softmask.tokenizer import load_tokenizer
from softmask.whole import write_text_whole

CHUNK = 2000  # samples a process counts at a time
TOP = 20  # words that are listed
THUMBNAIL = 160  # pixels of the shorter side


def write_stats(
    path: str,
    output: Path | None = None,
    limit: int | None = None,
    pictures: int = 24,
    max_tokens: int = 25,
    tokenizer: str = "bert-base-uncased",
    workers: int = 0,
) -> None:
    """Print what a data set holds; with an output, also write stats.json and stats.html there.

    Broken off and started again with the same output, it continues.

    Args:
        path: shards: a folder, an index.json, a .tar, or a pattern.
        output: folder for stats.json and stats.html; made if missing.
        limit: look at that many samples only, evenly spread.
        pictures: samples that the page shows, evenly spread.
        max_tokens: as in the run's data.init_args.text; longer captions are counted as cut.
        tokenizer: "bert-base-uncased" (shipped), a folder, or a model name.
        workers: processes; 0 does all in this one.

    Raises:
        InputError: if the shards or an option cannot be used.
    """
    if pictures < 0 or (limit is not None and limit < 1):
        raise InputError(f"pictures is {pictures} and limit {limit}: give 0 or more, 1 or more.")
    shards = ShardSet(path)
    positions = _spread(len(shards), limit or len(shards))
    asked = {"path": path, "hash": shards.hash, "counts": shards.counts, "chunk": CHUNK}
    progress = Progress(
        output and output / "stats.json", {**asked, "limit": limit, "tokenizer": tokenizer}
    )
    jobs = [
        TallyJob(str(start), shards, positions[start : start + CHUNK], tokenizer)
        for start in range(0, len(positions), CHUNK)
        if str(start) not in progress.done
    ]
    tally = Tally()
    for said in progress.done.values():
        tally.add(Tally.of_json(said))
    seen = tally.captions_per_picture.total()
    with tqdm(desc=path, total=len(positions), initial=seen, unit="sample") as bar:
        for name, some in in_processes(tally_job, jobs, workers):
            progress.add(name, some.as_json())
            tally.add(some)
            bar.update(some.captions_per_picture.total())
    report = {"path": path, **_report(shards, tally, max_tokens, len(load_tokenizer(tokenizer)))}
    print(as_text(report))
    if output is not None:
        text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
        write_text_whole(output / "stats.json", text)
        shown = [_picture(shards, position) for position in _spread(len(shards), pictures)]
        write_text_whole(output / "stats.html", page(report, shown))
        progress.delete()
        print(f"written: {output / 'stats.json'}, {output / 'stats.html'}")


def as_text(report: dict[str, Any]) -> str:
    """Lay the figures out for a terminal."""
    lines = [f"{name:24} {report[name]:,}" for name in ("shards", "bytes", "samples", "captions")]
    lines += [f"{'samples ' + name:24} {count:,}" for name, count in report["faults"].items()]
    lines.append(f"{'':24} {'mean':>8} {'least':>8} {'5 %':>8} {'half':>8} {'95 %':>8} {'most':>8}")
    for name, row in report["lengths"].items():
        figures = (row[key] for key in ("mean", "least", "p5", "median", "p95", "most"))
        lines.append(f"{name:24} " + " ".join(f"{figure:8,.4g}" for figure in figures))
    words = report["vocabulary"]
    lines += [
        f"{'cut at max_tokens':24} {report['cut_share']:.2%} of captions",
        f"{'distinct words':24} {words['distinct_words']:,}",
        f"{'tokens used':24} {words['tokens_used']:,} of {words['tokens_known']:,}",
        f"{'[UNK]':24} {words['unknown_share']:.4%} of tokens",
    ]
    return "\n".join(lines)


def summary(counts: Counter[int]) -> dict[str, Any]:
    """Give mean, quantiles and the histogram of counted values; empty for none."""
    if not counts:
        return {}
    values = np.array(sorted(counts))
    repeats = np.array([counts[int(value)] for value in values])
    reached = np.cumsum(repeats)

    def quantile(share: float) -> int:
        return int(values[np.searchsorted(reached, share * reached[-1])])

    return {
        "mean": float((values * repeats).sum() / reached[-1]),
        "least": int(values[0]),
        "p5": quantile(0.05),
        "median": quantile(0.5),
        "p95": quantile(0.95),
        "most": int(values[-1]),
        "histogram": {int(value): counts[int(value)] for value in values},
    }


def _report(shards: ShardSet, tally: Tally, max_tokens: int, known: int) -> dict[str, Any]:
    lengths = {
        "captions per picture": tally.captions_per_picture,
        "words per caption": tally.words,
        "tokens per caption": tally.tokens,
        "short side in pixels": tally.short_side,
        "width in pixels": tally.width,
        "height in pixels": tally.height,
    }
    # [CLS] takes one place.
    cut = sum(count for length, count in tally.tokens.items() if length + 1 > max_tokens)
    return {
        "hash": shards.hash,
        "shards": len(shards.counts),
        "bytes": sum(tally.bytes.values()),
        "samples": len(shards),
        "looked_at": tally.captions_per_picture.total(),
        "captions": tally.tokens.total(),
        "faults": dict(tally.faults),
        "lengths": {name: summary(counts) for name, counts in lengths.items() if counts},
        "cut_share": cut / max(1, tally.tokens.total()),
        "max_tokens": max_tokens,
        "formats": dict(tally.formats.most_common()),
        "vocabulary": _vocabulary(tally, known),
    }


def _vocabulary(tally: Tally, known: int) -> dict[str, Any]:
    unknown = sum(tally.unknown.values())
    return {
        "words": tally.vocabulary.total(),
        "distinct_words": len(tally.vocabulary),
        "used_once": sum(count == 1 for count in tally.vocabulary.values()),
        "most_common": _top(tally.vocabulary),
        "tokens": tally.pieces.total(),
        "tokens_used": len(tally.pieces),
        "tokens_known": known,
        "unknown_share": unknown / max(1, tally.pieces.total()),
        "unknown": _top(tally.unknown),
    }


def _top(words: Counter[str]) -> list[tuple[str, int]]:
    # most_common leaves ties in the order in which processes came back.
    return sorted(words.items(), key=lambda item: (-item[1], item[0]))[:TOP]


def _spread(count: int, wanted: int) -> Sequence[int]:
    wanted = min(count, wanted)
    return [number * count // wanted for number in range(wanted)]


def _picture(shards: ShardSet, position: int) -> Picture:
    sample = shards.read(position)
    try:
        texts = captions(sample)
    except BadSample as bad:
        texts = [f"no caption: {bad.reason.value}"]
    return Picture(sample.key, *_thumbnail(sample), texts)


def _thumbnail(sample: Sample) -> tuple[bytes, str]:
    """Give a small picture and its extension, of two side by side; empty if none can be shown."""
    try:
        for column in IMAGES:
            if column in sample.columns:
                return shrink(sample.columns[column], THUMBNAIL, 80, f"a.{column}")
        both = [_as_high_as_a_thumbnail(decode(side)) for side in sides(sample)]
    except BadSample:
        return b"", ""
    beside = cv2.cvtColor(np.hstack(both), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", beside, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes(), "jpg"


def _as_high_as_a_thumbnail(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    size = max(1, round(width * THUMBNAIL / height)), THUMBNAIL
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
