"""Shards as a source of pictures and texts; apart, since data modules import Lightning."""

from collections.abc import Sequence
from functools import lru_cache, partial

from data_modules.contents import captions, encoded, source
from data_modules.decode import decode
from data_modules.reasons import BadSample
from data_modules.shards import Sample, ShardSet
from softmask.ask.sources import Source, Thing, UnreadableError
from softmask.pictures import Pixels


class Shards:
    """Samples read again by their place.

    Args:
        path: a folder, an index.json, a .tar, or a pattern.
    """

    def __init__(self, path: str) -> None:
        self.samples = ShardSet(path)

    def picture(self, at: int) -> Pixels:
        """Decode a picture."""
        return _decode(self.samples.read(at))

    def things(self, at: int) -> Sequence[Thing]:
        """The picture of a sample, to be decoded later, by another thread perhaps."""
        sample = self.samples.read(at)
        return [Thing(f"{sample.shard}/{sample.key}", at, partial(_decode, sample))]

    def texts(self, at: int) -> Sequence[Thing]:
        """The captions of a sample."""
        sample = self.samples.read(at)
        try:
            return [Thing(text, at) for text in captions(sample)]
        except BadSample as bad:
            raise _refusal(bad, sample) from bad


@lru_cache(maxsize=1)
def open_shards(path: str) -> Shards:
    """Open shards once for many pictures."""
    return Shards(path)


def shard_sources(path: str) -> list[Source]:
    """The pictures and the captions of shards.

    Raises:
        InputError: the shards cannot be read.
    """
    shards = Shards(path)
    count, known = len(shards.samples), shards.samples.hash
    return [
        Source("images", count, path, shards.things, known),
        Source("texts", count, path, shards.texts, known),
    ]


def _decode(sample: Sample) -> Pixels:
    try:
        return decode(encoded(sample))
    except BadSample as bad:
        raise _refusal(bad, sample) from bad


def _refusal(bad: BadSample, sample: Sample) -> UnreadableError:
    return UnreadableError(
        f"The {source(sample)} {bad.detail}: mend the data set, see `softmask data check`."
    )
