"""Chunks of features made one after the other, alike by one process and by each of several."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm  # type: ignore[import-untyped]

from softmask.ask.chunks import Chunk, write_chunk
from softmask.ask.embedding import Done, Reading, embed_places
from softmask.ask.plan import Job, Plan
from softmask.ask.sources import Kind, Source
from softmask.model import SoftMask


class Making(NamedTuple):
    """What chunks are made of, and where they go."""

    sources: Mapping[Kind, Source]
    output: Path
    plan: Plan
    reading: Reading

    def make(self, model: SoftMask, jobs: Sequence[Job], *, quiet: bool = False) -> None:
        """Embed and write chunks; each is whole before the next one begins.

        Args:
            model: embeds, on its device.
            jobs: the chunks.
            quiet: draw no bar.

        Raises:
            InputError: a thing cannot be read.
        """
        total = sum(len(self._places(job)) for job in jobs)
        with tqdm(desc=str(self.output), total=total, unit="place", disable=quiet) as bar:
            for job in jobs:
                parts = []
                for done in embed_places(
                    model, self.sources[job.kind], self._places(job), self.reading
                ):
                    parts.append(done)
                    bar.update(done.places)
                write_chunk(self.output, job.stem, self.plan.format, self._joined(parts))

    def _places(self, job: Job) -> range:
        chunk = self.plan.chunk
        return range(self.sources[job.kind].places)[job.number * chunk : (job.number + 1) * chunk]

    def _joined(self, parts: Sequence[Done]) -> Chunk:
        things = [thing for done in parts for thing in done.things]
        features = torch.cat([done.features for done in parts]).numpy().astype(self.plan.store)
        return Chunk([thing.key for thing in things], [thing.at for thing in things], features)
