"""Things of a source to features, batch by batch; pictures are read while the model works."""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from softmask.ask.sources import Source, Thing, UnreadableError
from softmask.batches import batches
from softmask.errors import InputError
from softmask.model import SoftMask
from softmask.pictures import Pixels, resize


class Reading(NamedTuple):
    """How a source is read."""

    batch_size: int
    workers: int  # threads
    skip_bad: bool


class Done(NamedTuple):
    """A batch of places."""

    places: int
    things: list[Thing]  # without those left out
    features: Tensor  # (things, E) float32, on the CPU


class _Batch(NamedTuple):
    """Things whose pictures are being read."""

    places: int
    things: list[Thing]
    pixels: list[Future[Pixels]]  # none of texts


def embed_places(
    model: SoftMask, source: Source, places: Sequence[int], reading: Reading
) -> Iterator[Done]:
    """Embed all that is at some places of a source.

    Args:
        model: embeds.
        source: of pictures or texts.
        places: in order.
        reading: sizes, and whether bad things are left out.

    Raises:
        InputError: a thing cannot be read.
    """
    embed = _embed_images if source.kind == "images" else _embed_texts
    with ThreadPoolExecutor(reading.workers) as pool:
        ahead: _Batch | None = None
        for part in batches(places, reading.batch_size):
            begun = _begin(source, part, model.config.image.image_size, reading, pool)
            if ahead is not None:
                yield embed(model, ahead, reading)
            ahead = begun
        if ahead is not None:
            yield embed(model, ahead, reading)


def _begin(
    source: Source, places: Sequence[int], size: int, reading: Reading, pool: ThreadPoolExecutor
) -> _Batch:
    things = list[Thing]()
    for at in places:
        try:
            things += source.read(at)
        except UnreadableError as error:
            _leave_out(error, reading)
    pixels = [pool.submit(_square, thing, size) for thing in things if thing.pixels is not None]
    return _Batch(len(places), things, pixels)


def _square(thing: Thing, size: int) -> Pixels:
    assert thing.pixels is not None
    return resize(thing.pixels(), size)


def _embed_images(model: SoftMask, batch: _Batch, reading: Reading) -> Done:
    kept, squares = list[Thing](), list[Pixels]()
    for thing, pixels in zip(batch.things, batch.pixels, strict=True):
        try:
            squares.append(pixels.result())
        except UnreadableError as error:
            _leave_out(error, reading)
        else:
            kept.append(thing)
    if not kept:
        return Done(batch.places, [], torch.empty(0, model.config.embed_dim))
    features = model.embed_images(squares, reading.batch_size)
    return Done(batch.places, kept, features.float().cpu())


def _embed_texts(model: SoftMask, batch: _Batch, reading: Reading) -> Done:
    kept = [thing for thing in batch.things if _is_text(model, thing, reading)]
    if not kept:
        return Done(batch.places, [], torch.empty(0, model.config.embed_dim))
    features = model.embed_texts([thing.key for thing in kept])
    return Done(batch.places, kept, features.float().cpu())


def _is_text(model: SoftMask, thing: Thing, reading: Reading) -> bool:
    try:
        return bool(model.captions.words(thing.key))
    except InputError as error:
        _leave_out(error, reading)
        return False


def _leave_out(error: InputError, reading: Reading) -> None:
    if not reading.skip_bad:
        raise InputError(f"{error} Or leave out what is bad with --skip_bad true.") from error
    tqdm.write(f"Left out: {error}", file=sys.stderr)
