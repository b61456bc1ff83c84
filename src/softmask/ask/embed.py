"""`softmask embed`: features of many pictures and texts, kept in chunks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from softmask.ask.chunks import Format, check_format, is_whole
from softmask.ask.embedding import Reading
from softmask.ask.making import Making
from softmask.ask.opening import DType, open_model
from softmask.ask.plan import INDEX, Held, Job, Plan, begin, join
from softmask.ask.ranks import Ranks
from softmask.ask.sources import Source, What, folder_source, table_sources, wanted
from softmask.errors import InputError
from softmask.model import SoftMask
from softmask.parts import Part, parse_part

Store = Literal["float32", "float16"]


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
    devices: int = 1,
    num_nodes: int = 1,
    dtype: DType = "float32",
) -> None:
    """Write unit features of pictures and texts, for `softmask search` or for other use.

    Each chunk gets its name when it is whole. Broken off and started again with the same arguments,
    it goes on, and ends with the same bytes as if it had not been (on the same kind of device),
    whatever the number of devices. Pictures that were replaced meanwhile, which sizes and times of
    their files tell, are refused.

    Args:
        model: folder of a run, of `softmask weights export` or `convert`, or a name on the hub.
        images: folder of pictures, folders in it included; with --csv, what its names are
            relative to.
        csv: table (.csv or .jsonl) with a column image, a column text, or both.
        shards: instead: a folder of shards, an index.json, a .tar, or a pattern.
        output: folder of the features; made if missing.
        what: images, texts, or both as far as they are there; of a table, its other column is not
            read.
        format: npy, with keys as JSON lines beside; or parquet (softmask[parquet]).
        store: type of the features on the disk.
        chunk: places of the source in a chunk; a sample of shards is one, with all its captions.
        batch_size: pictures embedded at once.
        workers: threads that read pictures.
        skip_bad: leave out what cannot be read, and say so, instead of stopping.
        part: "2/4" makes every fourth chunk, from the second on. Run all four at once, each on its
            --device or machine, on one output; the last to end writes index.json. For jobs that
            know nothing of each other; else --devices.
        checkpoint: of a run: best, last, or a file's name.
        device: cpu, cuda, cuda:0, ...
        devices: of this kind in each node, a process on each, through Lightning's predict.
        num_nodes: machines on which torchrun or SLURM starts this, for one output on a shared disk.
        dtype: of the model's weights.

    Raises:
        InputError: the model or an option cannot be used, a picture cannot be read, or the output
            holds something else.
    """
    chosen, ranks = parse_part(part), Ranks(devices, num_nodes, device)
    _check({"chunk": chunk, "batch_size": batch_size, "workers": workers}, chosen, ranks)
    check_format(format)
    sources = {source.kind: source for source in _sources(images, csv, shards, what)}
    opened = open_model(model, checkpoint, "cpu" if ranks.several else device, dtype)
    plan = Plan(
        opened.fingerprint,
        opened.model.config.embed_dim,
        {kind: Held(-(-s.places // chunk), s.root, s.hash, s.files) for kind, s in sources.items()},
        shards is not None,
        format,
        store,
        chunk,
        batch_size,
        dtype,
    )
    begin(output, plan)
    mine = plan.jobs()[chosen.number - 1 :: chosen.of]
    left = [job for job in mine if not is_whole(output, job.stem, format)]
    making = Making(sources, output, plan, Reading(batch_size, workers, skip_bad))
    if _make(opened.model, left, making, ranks):
        _end(join(output, plan, _origin(model), checkpoint), output, plan, part)


def _check(sizes: Mapping[str, int], part: Part, ranks: Ranks) -> None:
    counts = {**sizes, "devices": ranks.devices, "num_nodes": ranks.nodes}
    wrong = [f"{name} is {value}" for name, value in counts.items() if value < 1]
    if wrong:
        raise InputError(f"{' and '.join(wrong)}: give 1 or more.")
    if part.of == 1:
        ranks.check()
    elif ranks.several:
        raise InputError(
            f"--part {part.number}/{part.of} and --devices {ranks.devices} on {ranks.nodes} "
            f"node(s) both share out chunks: give one of them."
        )


def _make(model: SoftMask, jobs: Sequence[Job], making: Making, ranks: Ranks) -> bool:
    """Make chunks here or on ranks; says whether this process is the one to go on."""
    if ranks.several:
        # Lightning takes seconds to import: only who has several devices pays for it.
        from softmask.ask.together import make_together

        return make_together(model, jobs, making, ranks)
    making.make(model, jobs)
    return True


def _end(missing: Sequence[str], output: Path, plan: Plan, part: str) -> None:
    if missing:
        print(
            f"Part {part} is whole; {len(missing)} of {len(plan.jobs())} chunks are left to other "
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
        found = table_sources(csv, images, what)
    elif images is not None and shards is None:
        found = [folder_source(images)]
    else:
        raise InputError("Give one source: --images FOLDER, --csv TABLE, or --shards PATH.")
    kinds = wanted([source.kind for source in found], what)
    return [source for source in found if source.kind in kinds]


def _origin(path: str) -> str:
    """What is on this disk by its whole path, so that the index finds it from elsewhere."""
    return str(Path(path).resolve()) if Path(path).exists() else path
