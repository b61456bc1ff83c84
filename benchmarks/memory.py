"""Memory of a worker over an epoch: it should stay flat."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.clock import resident_mib
from benchmarks.pictures import smooth_pairs
from data_modules import PretrainData
from data_modules.batches import Batch, Maker
from data_modules.replace import Steps
from data_modules.shards import INDEX, Sample
from data_modules.write import write_shards

STORED = 1000
BATCH = 50
POINTS = 10


class Weighed(Maker):
    """A maker of batches that adds the memory of the process it runs in.

    Args:
        maker: samples to batches.
    """

    def __init__(self, maker: Maker) -> None:
        self.maker = maker

    def item(self, sample: Sample, epoch: int) -> Any:  # noqa: ANN401 (each maker has its own)
        """Make what a batch is stacked from, or begin it."""
        return self.maker.item(sample, epoch)

    @property
    def steps(self) -> Steps:
        """What a sample goes through."""
        return self.maker.steps

    def batch(self, items: Sequence[Any], epoch: int) -> Batch:
        """Stack items."""
        return {**self.maker.batch(items, epoch), "resident_mib": resident_mib()}


class WeighedData(PretrainData):
    """Pretraining data whose batches say how much memory their worker holds."""

    def make_train(self) -> Any:  # noqa: ANN401 (the base names its own maker)
        """Give the maker of training batches."""
        return Weighed(super().make_train())


def memory(folder: Path, samples: int, size: int = 64) -> dict[str, Any]:
    """Run a worker through one epoch and weigh it at ten points.

    Args:
        folder: empty, for the shards.
        samples: of the epoch, in thousands.
        size: side of the pictures in pixels.

    Returns:
        Samples, MiB at the ten points, and MiB grown from the first to the last.
    """
    write_shards(smooth_pairs(STORED, (size, size)), folder)
    repeat(folder / INDEX, max(1, samples // STORED))
    data = WeighedData(str(folder), image_size=size, batch_size=BATCH, workers=1)
    loader = data.train_dataloader()
    every = max(1, len(loader) // POINTS)
    points = [
        round(batch["resident_mib"], 1)
        for step, batch in enumerate(loader, start=1)
        if step % every == 0
    ]
    data.teardown("fit")
    return {
        "samples": len(loader) * BATCH,
        "resident_mib": points[:POINTS],
        "grown_mib": round(points[:POINTS][-1] - points[0], 1),
    }


def repeat(index: Path, times: int) -> None:
    """Name the one shard of an index many times over: the loader sees as many shards."""
    content = json.loads(index.read_text())
    content["shards"] *= times
    content["count"] = sum(shard["count"] for shard in content["shards"])
    index.write_text(json.dumps(content))
