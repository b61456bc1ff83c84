"""`softmask embed`: features of many pictures and texts, kept in chunks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from tqdm import tqdm  # type: ignore[import-untyped]

from softmask.ask.chunks import Chunk, Format, check_format, is_whole, write_chunk
from softmask.ask.embedding import Done, Reading, embed_places
from softmask.ask.opening import DType, open_model
from softmask.ask.plan import INDEX, Held, Plan, begin, join
from softmask.ask.sources import Kind, Source, folder_source, table_sources
from softmask.errors import InputError
from softmask.model import SoftMask
from softmask.parts import parse_part

Store = Literal["float32", "float16"]
What = Literal["images", "texts", "both"]


def embed(
    model: str,
    images: Path | None = None,
    csv: Path | None = None,
    shards: str | None = None,
    output: Path = Path("features"),
    what: What = "both",
    format: Format = "npy",
    store: Store = "float32",
    chunk: int = 4096,
    batch_size: int = 32,
    workers: int = 2,
    skip_bad: bool = False,
    part: str = "1/1",
    checkpoint: str = "best",
    device: str = "cpu",
    dtype: DType = "float32",
) -> None:
    """Write unit features of pictures and texts, for `softmask search` or for other use.

    Each chunk gets its name when it is whole. Broken off and started again with the same arguments,
    it goes on, and ends with the same bytes as if it had not been (on the same kind of device).

    Args:
        model: folder of a run, of `softmask weights export` or `convert`, or a name on the hub.
        images: folder of pictures, folders in it included; with --csv, what its names are
            relative to.
        csv: table (.csv or .jsonl) with a column image, a column text, or both.
        shards: instead: a folder of shards, an index.json, a .tar, or a pattern.
        output: folder of the features; made if missing.
        what: images, texts, or both as far as they are there.
        format: npy, with keys as JSON lines beside; or parquet (softmask[parquet]).
        store: type of the features on the disk.
        chunk: places of the source in a chunk; a sample of shards is one, with all its captions.
        batch_size: pictures embedded at once.
        workers: threads that read pictures.
        skip_bad: leave out what cannot be read, and say so, instead of stopping.
        part: "2/4" makes every fourth chunk, from the second on. Run all four at once, each on its
            --device or machine, on one output; the last to end writes index.json.
        checkpoint: of a run: best, last, or a file's name.
        device: cpu, cuda:0, ...
        dtype: of the model's weights.

    Raises:
        InputError: the model or an option cannot be used, a picture cannot be read, or the output
            holds something else.
    """
    if min(chunk, batch_size, workers) < 1:
        raise InputError(
            f"chunk is {chunk}, batch_size {batch_size} and workers {workers}: give 1 or more."
        )
    chosen = parse_part(part)
    check_format(format)
    sources = {source.kind: source for source in _sources(images, csv, shards, what)}
    opened = open_model(model, checkpoint, device, dtype)
    plan = Plan(
        opened.fingerprint,
        opened.model.config.embed_dim,
        {kind: Held(-(-s.places // chunk), s.root, s.hash) for kind, s in sources.items()},
        shards is not None,
        format,
        store,
        chunk,
        batch_size,
        dtype,
    )
    begin(output, plan)
    mine = plan.stems()[chosen.number - 1 :: chosen.of]
    left = [job for job in mine if not is_whole(output, job[2], format)]
    _write(opened.model, sources, left, output, plan, Reading(batch_size, workers, skip_bad))
    missing = join(output, plan, _origin(model), checkpoint)
    if missing:
        print(
            f"Part {part} is whole; {len(missing)} of {len(plan.stems())} chunks are left to other "
            f"parts, the first is {missing[0]}. The last part to end writes {INDEX}."
        )
    else:
        print(f"Written: {output / INDEX}")


def _sources(
    images: Path | None, csv: Path | None, shards: str | None, what: What
) -> Sequence[Source]:
    if shards is not None and images is None and csv is None:
        # Data modules bring Lightning along: only who has shards pays for it.
        from softmask.ask.shards import shard_sources

        found = shard_sources(_origin(shards))
    elif csv is not None and shards is None:
        found = table_sources(csv, images)
    elif images is not None and shards is None:
        found = [folder_source(images)]
    else:
        raise InputError("Give one source: --images FOLDER, --csv TABLE, or --shards PATH.")
    kept = [source for source in found if what in ("both", source.kind)]
    if not kept:
        raise InputError(f"There are no {what} in this source: give --what {found[0].kind}.")
    return kept


def _write(
    model: SoftMask,
    sources: Mapping[Kind, Source],
    jobs: Sequence[tuple[Kind, int, str]],
    output: Path,
    plan: Plan,
    reading: Reading,
) -> None:
    ranges = {
        name: range(sources[kind].places)[number * plan.chunk : (number + 1) * plan.chunk]
        for kind, number, name in jobs
    }
    with tqdm(desc=str(output), total=sum(map(len, ranges.values())), unit="place") as bar:
        for kind, _, name in jobs:
            parts = []
            for done in embed_places(model, sources[kind], ranges[name], reading):
                parts.append(done)
                bar.update(done.places)
            write_chunk(output, name, plan.format, _chunk(parts, plan))


def _chunk(parts: Sequence[Done], plan: Plan) -> Chunk:
    things = [thing for done in parts for thing in done.things]
    features = torch.cat([done.features for done in parts]).numpy().astype(plan.store)
    return Chunk([thing.key for thing in things], [thing.at for thing in things], features)


def _origin(path: str) -> str:
    """What is on this disk by its whole path, so that the index finds it from elsewhere."""
    return str(Path(path).resolve()) if Path(path).exists() else path
