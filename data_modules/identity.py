"""By what a checkpoint knows its data again."""

import hashlib
from collections.abc import Sequence

from softmask.errors import InputError


def hash_names(names: Sequence[str], counts: Sequence[int]) -> str:
    """Hash names and counts of shards, for a set whose bytes nobody hashed.

    Args:
        names: paths or addresses; the folder does not matter, for data may move.
        counts: samples in each.
    """
    files = (name.rpartition("/")[2] for name in names)
    return join_hashes([f"{file} {count}" for file, count in zip(files, counts, strict=True)])


def join_hashes(hashes: Sequence[str]) -> str:
    """Give one hash for several sources; a single one keeps its own."""
    if len(hashes) == 1 and len(hashes[0]) == 64:
        return hashes[0]
    return hashlib.sha256("\n".join(hashes).encode("utf-8")).hexdigest()


def check_hash(saved: str | None, found: str, path: object) -> None:
    """Compare a checkpoint's data with a run's.

    Args:
        saved: of the checkpoint; those before 0.2 have none.
        found: of the run's training set.
        path: of that set.

    Raises:
        InputError: if they differ.
    """
    if saved not in (None, found):
        raise InputError(
            f"The checkpoint was saved on training data with the hash {saved} but "
            f"data.init_args.train {path!r} has {found}: give the same data, or start anew from "
            "its weights (model.init_args.init_from)."
        )
