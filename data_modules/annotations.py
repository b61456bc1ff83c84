"""Read pictures and captions from any format, and split them.

Rows of one picture become one group with several captions.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from data_modules.formats.albef import read_albef
from data_modules.formats.albef_refcoco import read_albef_refcoco
from data_modules.formats.coco import read_coco
from data_modules.formats.detect import annotation_files, detect
from data_modules.formats.folders import read_folders
from data_modules.formats.group import Group, Rows, merge
from data_modules.formats.img2dataset import read_img2dataset
from data_modules.formats.karpathy import read_karpathy
from data_modules.formats.nlvr2 import read_nlvr2
from data_modules.formats.refcoco import read_refcoco
from data_modules.formats.snli_ve import read_snli_ve
from data_modules.formats.table import read_csv, read_jsonl, read_parquet
from data_modules.formats.vqa import read_albef_vqa, read_vqa
from softmask.errors import InputError

Split = Literal["train", "val", "test"]
SPLITS = ("train", "val", "test")

Format = Literal[
    "auto",
    "csv",
    "jsonl",
    "parquet",
    "coco",
    "karpathy",
    "albef",
    "img2dataset",
    "snli_ve",
    "nlvr2",
    "refcoco",
    "albef_refcoco",
    "vqa",
    "albef_vqa",
    "folders",
]

NEARLY = 0.9
"""Of the pictures that a share asks for: with fewer, a split says so."""

READERS: dict[str, Callable[[Path], Rows]] = {
    "csv": read_csv,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "coco": read_coco,
    "karpathy": read_karpathy,
    "albef": read_albef,
    "img2dataset": read_img2dataset,
    "snli_ve": read_snli_ve,
    "nlvr2": read_nlvr2,
    "refcoco": read_refcoco,
    "albef_refcoco": read_albef_refcoco,
    "vqa": read_vqa,
    "albef_vqa": read_albef_vqa,
    "folders": read_folders,
}


def read_annotations(place: Path, format: Format = "auto") -> list[Group]:
    """Read captions.

    Args:
        place: a file, a folder with files of one format, or a folder of img2dataset.
        format: how they are written; auto finds out and says what it saw.

    Returns:
        One group for each picture, in the order of their first rows.

    Raises:
        InputError: if the format is not known, or a file or a row cannot be used.
    """
    if format == "auto":
        found = detect(place)
        name, files = found.format, found.files
        print(f"{place}: read as {name}, for {found.saw}")
    else:
        name, files = format, annotation_files(place, format)
    groups = merge(row for file in files for row in READERS[name](file))
    if not groups:
        raise InputError(f"{place} has no rows: give one line for each caption.")
    return groups


def put_into_split(groups: list[Group], split: str | None) -> None:
    """Put all pictures into one split, when their annotations name none.

    Raises:
        InputError: if they do.
    """
    named = [group for group in groups if group.split]
    if split and named:
        raise InputError(
            f"{len(named)} of {len(groups)} pictures have a split of their own, the first is "
            f"{named[0].split!r}: leave --split out, or take it from the captions."
        )
    for group in groups:
        group.split = split or group.split


def split_groups(
    groups: list[Group], val_share: float, test_share: float, order: random.Random
) -> dict[str, list[Group]]:
    """Split groups as their table says, or by shares.

    With shares, pictures that have a caption or an image_id in common stay together, so that no
    caption and no picture of one split is known from another.

    Args:
        groups: with a split each, or none.
        val_share: share of the pictures for validation, 0 to 1.
        test_share: share of the pictures for the test, 0 to 1.
        order: decides which.

    Raises:
        InputError: if some rows have a split and others none, shares are given beside splits, or a
            share above 0 leaves its split empty.
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
    largest = max(map(len, clusters))
    for name, share in (("val", val_share), ("test", test_share)):
        _check_share(name, share, len(splits[name]), len(groups), largest)
    return {name: members for name, members in splits.items() if members}


def _check_share(name: str, share: float, given: int, total: int, largest: int) -> None:
    """Refuse a share that came to nothing; say how much one fell short.

    Args:
        name: of the split.
        share: of the pictures that it was to have.
        given: pictures that it has.
        total: all pictures.
        largest: pictures of the largest cluster.

    Raises:
        InputError: if it has none of a share above 0.
    """
    wanted = round(share * total)
    if given >= NEARLY * wanted and (given or not share):
        return
    tied = (
        "pictures that share a caption or an image_id, and rows that share a picture, stay in one "
        f"split, and the largest such group has {largest} of {total}"
    )
    larger = f"give a larger --{name}_share, or " if largest <= total / 2 else ""
    mend = (
        f"{larger}name each picture's split where the format has a place for it, or write the "
        f"splits one by one with --split"
    )
    if given:
        print(
            f"{name}: {given} pictures, not the {wanted} of --{name}_share {share}: {tied}; {mend}"
        )
        return
    why = tied if wanted else f"it comes to none of {total} pictures"
    raise InputError(f"--{name}_share {share} leaves the split {name} empty, for {why}: {mend}.")


def _clusters(groups: list[Group]) -> list[list[Group]]:
    """Join groups that must stay in one split, also by way of others.

    Clusters come in the order of their last groups, which decides what a seed draws.
    """
    above = list(range(len(groups)))  # another group of the same cluster; of a root, itself

    def root(number: int) -> int:
        while above[number] != number:
            above[number] = above[above[number]]  # halves the way for the next
            number = above[number]
        return number

    first: dict[tuple[str, str], int] = {}
    for number, group in enumerate(groups):
        for tie in _ties(group):
            above[root(number)] = root(first.setdefault(tie, number))
    clusters: dict[int, list[Group]] = {}
    for number in reversed(range(len(groups))):
        clusters.setdefault(root(number), []).append(groups[number])
    return [cluster[::-1] for cluster in reversed(clusters.values())]


def _ties(group: Group) -> list[tuple[str, str]]:
    """What keeps groups in one split: pictures, and captions but of rows apart, whose repeat."""
    pictures = (group.image, group.second, group.image_id)
    ties = [("picture", name) for name in pictures if name]
    captions = [] if group.apart else group.captions
    return ties + [("caption", " ".join(caption.lower().split())) for caption in captions]
