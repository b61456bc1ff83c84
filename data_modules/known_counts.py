"""Counts of samples that other tools left beside their tars, which save reading the tars."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data_modules.formats.group import load_json
from data_modules.shards import INDEX
from softmask.errors import InputError

SIZES = "sizes.json"
STATS = "_stats.json"
HEAD = 65_536  # bytes in which a wids index shows itself


class Known(NamedTuple):
    """What a tool noted: samples by tar, and bytes where it notes them."""

    source: str
    counts: Mapping[str, int]
    sizes: Mapping[str, int]


def known_counts(folder: Path, names: Sequence[str]) -> Known | None:
    """Find the counts of tars; says what it does not use, and why.

    Args:
        folder: that holds them.
        names: of the tars.

    Returns:
        The first source that knows all of them: open_clip's sizes.json, img2dataset's
        *_stats.json, a wids index.

    Raises:
        InputError: if a source cannot be read.
    """
    for known in (_open_clip(folder), _img2dataset(folder, names), *_wids(folder)):
        if known is None:
            continue
        unknown = [name for name in names if name not in known.counts]
        if not unknown:
            return known
        print(
            f"{known.source} is not used: it lacks {len(unknown)} of {len(names)} tars, the first "
            f"is {unknown[0]}"
        )
    return None


def _open_clip(folder: Path) -> Known | None:
    file = folder / SIZES
    if not file.is_file():
        return None
    sizes = load_json(file)
    if not isinstance(sizes, dict):
        raise _broken(file)
    return Known(SIZES, {name: _count(file, value) for name, value in sizes.items()}, {})


def _img2dataset(folder: Path, names: Sequence[str]) -> Known | None:
    files = {name: folder / f"{Path(name).stem}{STATS}" for name in names}
    found = {name: file for name, file in files.items() if file.is_file()}
    if not found:
        return None
    counts = {}
    for name, file in found.items():
        stats = load_json(file)
        # "count" has the failed downloads as well, of which no tar knows.
        counts[name] = _count(file, stats.get("successes") if isinstance(stats, dict) else None)
    return Known(f"*{STATS}", counts, {})


def _wids(folder: Path) -> list[Known]:
    files = (
        file
        for file in sorted(folder.glob("*.json"))
        if file.name not in (SIZES, INDEX) and not file.name.endswith(STATS)
    )
    return [_one_wids(file) for file in files if _is_wids(file)]


def _is_wids(file: Path) -> bool:
    with file.open("rb") as data:
        return b'"shardlist"' in data.read(HEAD)


def _one_wids(file: Path) -> Known:
    tree: Any = load_json(file)
    try:
        rows = {Path(row["url"]).name: row for row in tree["shardlist"]}
        counts = {name: _count(file, row["nsamples"]) for name, row in rows.items()}
        sizes = {name: int(row["filesize"]) for name, row in rows.items() if "filesize" in row}
    except (KeyError, TypeError) as error:
        raise _broken(file) from error
    return Known(file.name, counts, sizes)


def _count(file: Path, value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise _broken(file)
    return value


def _broken(file: Path) -> InputError:
    return InputError(f"{file} does not give the samples of each tar: delete it to count anew.")
