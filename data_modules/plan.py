"""Which pair goes to which shard: settled before the first is written, alike for every part."""

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_modules.annotations import split_groups
from data_modules.formats.group import Group
from softmask.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """How pictures are stored."""

    images: Path
    short_side: int
    quality: int
    skip_bad: bool = False  # leave out what cannot be stored


@dataclass(frozen=True)
class ShardJob:
    """One shard to write: what a worker process is handed."""

    folder: Path
    name: str
    pairs: Sequence[tuple[str, Group]]  # keys and what they stand for
    recipe: Recipe

    @property
    def key(self) -> str:
        """The shard's path in the output."""
        return f"{self.folder.name}/{self.name}"


Splits = Mapping[str, list[Group]]


def shuffled_splits(groups: list[Group], val_share: float, test_share: float, seed: int) -> Splits:
    """Split groups and shuffle each split."""
    order = random.Random(seed)
    splits = split_groups(groups, val_share, test_share, order)
    for members in splits.values():
        order.shuffle(members)
    return splits


def shard_jobs(
    groups: list[Group], splits: Splits, output: Path, shard_size: int, recipe: Recipe
) -> list[ShardJob]:
    """Cut splits into shards.

    Args:
        groups: in the order of the annotations, which gives the keys.
        splits: of the same groups.
        output: folder of the data set.
        shard_size: pairs in each shard but the last of a split.
        recipe: how pictures are stored.

    Raises:
        InputError: if the shard size is not positive.
    """
    if shard_size < 1:
        raise InputError(f"The shard size is {shard_size}: give at least 1.")
    keys = {id(group): f"{number:08d}" for number, group in enumerate(groups)}
    return [
        ShardJob(
            output / split,
            f"{number:05d}.tar",
            [(keys[id(group)], group) for group in members[start : start + shard_size]],
            recipe,
        )
        for split, members in splits.items()
        for number, start in enumerate(range(0, len(members), shard_size))
    ]


def fingerprint(groups: Sequence[Group]) -> str:
    """Hash all that annotations say, so that changed ones are noticed."""
    digest = hashlib.sha256()
    for text in _texts(groups):
        digest.update(text.encode("utf-8", errors="surrogatepass"))
    return digest.hexdigest()


def _texts(groups: Sequence[Group]) -> Iterator[str]:
    for group in groups:
        place = group.stored and [str(group.stored.file), *group.stored[1:]]
        said = [group.image, group.captions, group.split, group.meta, group.image_id, place]
        # Data sets begun before there were second pictures keep their hash.
        yield json.dumps([*said, group.second] if group.second else said, sort_keys=True)
