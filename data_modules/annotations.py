"""Read tables of pictures and captions (CSV or JSON lines), and split them.

Rows of one picture become one group with several captions.
"""

import csv
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from softmask.errors import InputError

SPLITS = ("train", "val", "test")


@dataclass
class Group:
    """A picture's file name, its captions, its split if the table gives one, other columns."""

    image: str
    captions: list[str]
    split: str | None
    meta: dict[str, object] = field(default_factory=dict)


def read_annotations(file: Path) -> list[Group]:
    """Read a table with the columns image and caption (or captions, a list), and maybe split.

    Args:
        file: .csv with a header line, or .jsonl with an object on each line.

    Returns:
        One group for each picture, in the order of their first rows.

    Raises:
        InputError: if the file or a row cannot be used.
    """
    groups: dict[str, Group] = {}
    for number, row in _rows(file):
        group = _group(row, f"Row {number} of {file}")
        known = groups.setdefault(group.image, group)
        if known is group:
            continue
        if known.split != group.split:
            raise InputError(
                f"Row {number} of {file} puts {group.image!r} into the split {group.split!r} but "
                f"an earlier row into {known.split!r}: keep each picture in one split."
            )
        known.captions += [text for text in group.captions if text not in known.captions]
    if not groups:
        raise InputError(f"{file} has no rows: give one line for each caption.")
    return list(groups.values())


def split_groups(
    groups: list[Group], val_share: float, test_share: float, order: random.Random
) -> dict[str, list[Group]]:
    """Split groups as their table says, or by shares.

    With shares, pictures that have a caption in common stay together, so that no caption of one
    split is known from another.

    Args:
        groups: with a split each, or none.
        val_share: share of the pictures for validation, 0 to 1.
        test_share: share of the pictures for the test, 0 to 1.
        order: decides which.

    Raises:
        InputError: if some rows have a split and others none, or shares are given beside splits.
    """
    named = [group for group in groups if group.split]
    if named:
        if len(named) < len(groups) or val_share or test_share:
            raise InputError(
                f"{len(named)} of {len(groups)} pictures have a split: give all of them one and no "
                "shares, or none of them."
            )
        return _by_name(groups)
    if min(val_share, test_share) < 0 or val_share + test_share >= 1:
        raise InputError(
            f"The shares {val_share} and {test_share} leave no training data: give shares of 0 or "
            "more with a sum below 1."
        )
    return _by_share(groups, val_share, test_share, order)


def _by_name(groups: list[Group]) -> dict[str, list[Group]]:
    splits: dict[str, list[Group]] = {name: [] for name in SPLITS}
    for group in groups:
        if group.split not in splits:
            raise InputError(
                f"The picture {group.image!r} is in the split {group.split!r}: use one of "
                f"{', '.join(SPLITS)}."
            )
        splits[group.split].append(group)
    return {name: members for name, members in splits.items() if members}


def _by_share(
    groups: list[Group], val_share: float, test_share: float, order: random.Random
) -> dict[str, list[Group]]:
    clusters = _clusters(groups)
    order.shuffle(clusters)
    splits: dict[str, list[Group]] = {"train": [], "val": [], "test": []}
    wanted = {"val": val_share * len(groups), "test": test_share * len(groups)}
    for cluster in clusters:
        # The rarest captions first would bias the split; a cluster that overfills is passed on.
        fits = (
            name for name, most in wanted.items() if len(splits[name]) + len(cluster) <= round(most)
        )
        splits[next(fits, "train")].extend(cluster)
    return {name: members for name, members in splits.items() if members}


def _clusters(groups: list[Group]) -> list[list[Group]]:
    """Join groups that share a caption, also by way of others."""
    cluster_of: dict[str, list[Group]] = {}
    clusters: dict[int, list[Group]] = {}
    for group in groups:
        texts = [" ".join(caption.lower().split()) for caption in group.captions]
        joined = {id(cluster_of[text]): cluster_of[text] for text in texts if text in cluster_of}
        merged = [member for cluster in joined.values() for member in cluster] + [group]
        for old in joined:
            del clusters[old]
        clusters[id(merged)] = merged
        for member in merged:
            for caption in member.captions:
                cluster_of[" ".join(caption.lower().split())] = merged
    return list(clusters.values())


def _rows(file: Path) -> Iterable[tuple[int, dict[str, object]]]:
    if file.suffix not in (".csv", ".jsonl"):
        raise InputError(f"{file} is neither .csv nor .jsonl: convert the captions to one of them.")
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            if file.suffix == ".csv":
                yield from enumerate(csv.DictReader(lines), start=2)
                return
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, json.loads(line)
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise InputError(f"{file} cannot be read ({error}): give a table in UTF-8.") from error


def _group(row: object, place: str) -> Group:
    if not isinstance(row, dict) or not row.get("image"):
        raise InputError(f"{place} has no image: give the columns image and caption.")
    captions = row.get("captions", [row.get("caption")])
    if not isinstance(captions, list) or not captions or not all(map(_is_text, captions)):
        raise InputError(f"{place} has an empty caption: fill it in or remove the row.")
    used = ("image", "caption", "captions", "split")
    # CSV rows that are too long or too short have a column without name or value.
    meta = {name: value for name, value in row.items() if name not in used and name and value}
    split = row.get("split")
    return Group(str(row["image"]), list(captions), str(split) if split else None, meta)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
