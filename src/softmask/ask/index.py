"""A folder of features: which model made it, where its pictures are, and all of it in memory.

N rows, E width of a feature.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from softmask.ask.chunks import read_chunk
from softmask.ask.plan import BEGUN, INDEX, Held, Plan, read_content
from softmask.ask.sources import Kind
from softmask.errors import InputError
from softmask.pictures import Pixels, read_picture


class Index(NamedTuple):
    """A whole index."""

    folder: Path
    model: str  # where it was loaded from
    checkpoint: str
    plan: Plan

    def moved(self, root: str | None) -> "Index":
        """The same with its pictures elsewhere, if a place is given."""
        if root is None or "images" not in self.plan.held:
            return self
        held = {**self.plan.held, "images": replace(self.plan.held["images"], root=root)}
        return self._replace(plan=replace(self.plan, held=held))

    def picture(self, key: str, at: int) -> Pixels:
        """A picture again that was embedded.

        Raises:
            InputError: it is gone, or cannot be read, or shards are others.
        """
        root = self.plan.held["images"].root
        try:
            if not self.plan.shards:
                return read_picture(Path(root) / key)
            # Data modules bring Lightning along: only who has shards pays for it.
            from softmask.ask.shards import open_shards

            shards = open_shards(root)
            if shards.samples.hash != self.plan.held["images"].hash:
                raise InputError(f"The shards '{root}' are not those that were embedded.")
            return shards.picture(at)
        except InputError as error:
            raise InputError(
                f"{error} If the pictures of '{self.folder}' were moved, name their place with "
                f"--images; if they are others, embed again."
            ) from error


class Features(NamedTuple):
    """Features in memory."""

    keys: list[str]
    at: list[int]
    matrix: Tensor  # (N, E) float32

    def nearest(self, query: Tensor, count: int) -> tuple[list[int], list[float]]:
        """Rows of the largest cosines, the largest first, and these.

        Args:
            query: unit feature, (E,).
            count: rows, if there are so many.
        """
        found = (self.matrix @ query.float().cpu()).topk(min(count, len(self.keys)))
        return found.indices.tolist(), found.values.tolist()


def open_index(folder: Path) -> Index:
    """Read what an index is.

    Raises:
        InputError: there is none, or it is not whole.
    """
    if (folder / BEGUN).is_file() and not (folder / INDEX).is_file():
        raise InputError(
            f"The features in '{folder}' are not whole: start `softmask embed` again with the same "
            f"arguments, and it goes on."
        )
    content = read_content(folder / INDEX)
    plan = dict(content["plan"])
    held = {kind: Held(**each) for kind, each in plan.pop("held").items()}
    return Index(folder, content["model"], content["checkpoint"], Plan(held=held, **plan))


def check_model(index: Index, fingerprint: str, model: str) -> None:
    """Refuse a model that did not make the index.

    Raises:
        InputError: the fingerprints differ.
    """
    if index.plan.fingerprint != fingerprint:
        raise InputError(
            f"The features in '{index.folder}' are of another model ({index.model}, fingerprint "
            f"{index.plan.fingerprint[:12]}) than '{model}' ({fingerprint[:12]}), and cannot be "
            f"compared with its own: ask that model, or embed again with this one."
        )


def load(index: Index, kind: Kind) -> Features:
    """Bring features of a kind into memory.

    Raises:
        InputError: the index has none, or a chunk cannot be read.
    """
    if kind not in index.plan.held:
        raise InputError(
            f"'{index.folder}' holds features of {' and '.join(index.plan.held)}, not of {kind}: "
            f"embed {kind} too, see `softmask embed --help`."
        )
    stems = [job.stem for job in index.plan.jobs() if job.kind == kind]
    chunks = [read_chunk(index.folder, name, index.plan.format) for name in stems]
    keys = [key for chunk in chunks for key in chunk.keys]
    if not keys:
        raise InputError(f"'{index.folder}' holds no {kind} at all: embed some.")
    matrix = np.concatenate([chunk.features for chunk in chunks])
    at = [place for chunk in chunks for place in chunk.at]
    return Features(keys, at, torch.from_numpy(matrix).float())
