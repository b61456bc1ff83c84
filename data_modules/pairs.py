"""Write the user's own pictures and captions as shards."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
from tqdm import tqdm  # type: ignore[import-untyped]

from data_modules.annotations import Format, Split, put_into_split, read_annotations
from data_modules.formats.group import Group
from data_modules.identifiers import check_ids
from data_modules.ledger import Ledger, as_line, ledgers
from data_modules.parallel import in_processes
from data_modules.plan import Recipe, ShardJob, Splits, fingerprint, shard_jobs, shuffled_splits
from data_modules.reasons import BadSample
from data_modules.shards import INDEX
from data_modules.shrink import shrink
from data_modules.write import Pair, Shard, write_index, write_shard
from softmask.errors import InputError
from softmask.parts import parse_part

LEFT_OUT = "left_out.jsonl"
"""Beside the index: a line for each sample that is not there."""


def write_pairs(
    images: Path,
    captions: Path | None = None,
    output: Path = Path("data/pretrain"),
    shard_size: int = 1000,
    short_side: int = 288,
    quality: int = 90,
    seed: int = 0,
    val_share: float = 0,
    test_share: float = 0,
    split: Split | None = None,
    credit: str | None = None,
    license: str | None = None,
    format: Format = "auto",
    strip_prefix: str = "",
    workers: int = 0,
    part: str = "1/1",
    skip_bad: bool = False,
) -> None:
    """Write pictures with captions as shards: a folder for each split, shuffled.

    The same input gives the same bytes, whatever the workers and parts. Broken off and started
    again with the same arguments, it continues after the last whole shard.

    Args:
        images: folder that the captions' picture names are relative to, or img2dataset's output.
        captions: file with the captions, or a folder of such files; none looks into images.
            Tables (.csv, .jsonl, .parquet) have the columns image and caption, and maybe split
            (train, val, test); several rows may name one picture.
        output: folder of the data set.
        shard_size: pairs in a shard.
        short_side: pixels to shrink the shorter side of larger pictures to; 0 keeps all bytes.
        quality: of shrunken JPEGs, 1 to 100.
        seed: of the order and of the split by shares.
        val_share: share of the pictures for validation, when the captions have no split.
        test_share: share of the pictures for the test, when the captions have no split.
        split: of all pictures; ALBEF's lists come one after the other into one output.
        credit: whom to name, kept in the index.
        license: of the pictures, kept in the index.
        format: how the captions are written; auto finds out and says what it saw. snli_ve and
            nlvr2 are those tasks' own files and ALBEF's lists: each row becomes a sample, and the
            names of files or pictures tell its split.
        strip_prefix: what picture names begin with and the folder has not.
        workers: processes; 0 does all in this one.
        part: "2/4" writes every fourth shard, from the second on. Run all four with the same
            arguments on one output; the last to end joins them.
        skip_bad: leave out pictures that cannot be decoded, counted and listed in left_out.jsonl
            beside the index; all others keep their keys and their order. A job that such a picture
            stopped goes on with it. What keeps its bytes by a short_side of 0 is not decoded.

    Raises:
        InputError: if the captions, a picture or an option cannot be used, ids of samples to
            evaluate come twice, or the output holds another data set or one begun otherwise.
    """
    recipe, chosen = _recipe(images, short_side, quality, skip_bad), parse_part(part)
    groups = read_annotations(captions or images, format)
    put_into_split(groups, split)
    notes = {"credit": credit, "license": license}
    arguments = notes | {
        "images": str(images.resolve()),
        "captions (their hash)": fingerprint(groups),
        "shard_size": shard_size,
        "short_side": short_side,
        "quality": quality,
        "seed": seed,
        "val_share": val_share,
        "test_share": test_share,
        "strip_prefix": strip_prefix,
        "OpenCV": cv2.__version__,  # another encoder, other bytes
    }
    _strip(groups, strip_prefix)
    splits = shuffled_splits(groups, val_share, test_share, seed)
    jobs = shard_jobs(groups, splits, output, shard_size, recipe)
    mine = jobs[chosen.number - 1 :: chosen.of]
    for name, members in splits.items():
        check_ids(name, (group.meta for group in members if group.apart))
    _check_files(mine, captions or images)
    _check_place(splits, output)
    ledger = Ledger(output, "write", chosen, arguments)
    _write(mine, ledger, workers)
    _join(jobs, splits, ledger, {name: note for name, note in notes.items() if note})


def _recipe(images: Path, short_side: int, quality: int, skip_bad: bool) -> Recipe:
    if not 1 <= quality <= 100 or short_side < 0:
        raise InputError(
            f"quality is {quality} and short_side {short_side}: give a quality from 1 to 100 and a "
            "side of 0 or more pixels."
        )
    return Recipe(images, short_side, quality, skip_bad)


def write_job(job: ShardJob) -> tuple[str, Shard]:
    """Write the shard of a job.

    Args:
        job: what to write.

    Returns:
        The shard's path in the output and its line of the index.

    Raises:
        InputError: if a picture cannot be used, and such are not to be left out.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    left_out: dict[str, str] = {}
    shard = write_shard(_pairs(job, left_out), job.folder, job.name)
    if not shard.count:
        (job.folder / job.name).unlink()  # an empty shard is none
    return job.key, replace(shard, left_out=left_out)


def _pairs(job: ShardJob, left_out: dict[str, str]) -> Iterator[Pair]:
    """Make the pairs of a job, and note in `left_out` why a key has none."""
    for key, group in job.pairs:
        try:
            yield _pair(key, group, job.recipe)
        except BadSample as bad:
            if not job.recipe.skip_bad:
                raise InputError(
                    f"The picture {bad.detail}: replace it and give the same command again, which "
                    "continues, or leave out all such pictures by adding --skip_bad true to it."
                ) from bad
            left_out[key] = bad.detail


def _pair(key: str, group: Group, recipe: Recipe) -> Pair:
    """Read and shrink what a group names.

    Raises:
        BadSample: if a picture cannot be stored; its detail begins with the name.
    """
    data, extension = _stored(group, group.image, recipe)
    image_id = group.image if group.image_id is None else group.image_id
    meta = {**group.meta, "image": group.image, "image_id": image_id}
    if group.second is None:
        return Pair(key, data, extension, group.captions, meta)
    meta["second_image"] = group.second
    second = _stored(group, group.second, recipe)
    return Pair(key, data, extension, group.captions, meta, *second)


def _stored(group: Group, name: str, recipe: Recipe) -> tuple[bytes, str]:
    data = _read(group, name, recipe.images)
    try:
        return shrink(data, recipe.short_side, recipe.quality, name)
    except BadSample as bad:
        raise BadSample(bad.reason, f"{name!r} {bad.detail}") from bad


def _read(group: Group, name: str, images: Path) -> bytes:
    try:
        if group.stored is None:
            return (images / name).read_bytes()
        with group.stored.file.open("rb") as data:
            data.seek(group.stored.offset)
            return data.read(group.stored.size)
    except OSError as error:
        raise InputError(
            f"The picture {name!r} cannot be read ({error}): mend that and give the same command "
            "again, which continues."
        ) from error


def _strip(groups: Sequence[Group], prefix: str) -> None:
    for group in groups:
        group.image = group.image.removeprefix(prefix)
        group.second = group.second and group.second.removeprefix(prefix)


def _check_files(jobs: Sequence[ShardJob], captions: Path) -> None:
    groups = [group for job in jobs for _, group in job.pairs if group.stored is None]
    names = [name for group in groups for name in (group.image, group.second) if name]
    missing = [name for name in names if not (jobs[0].recipe.images / name).is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(names)} pictures of {captions} are not in "
            f"{jobs[0].recipe.images}, the first is {missing[0]!r}: mend the folder, remove their "
            "rows, or name with --strip_prefix what is too much of their names."
        )


def _check_place(splits: Splits, output: Path) -> None:
    for split in splits:
        # With a ledger, this very job was killed between its last indexes.
        if (output / split / INDEX).exists() and not ledgers(output, "write"):
            raise InputError(
                f"{output / split} holds a data set already: delete it or choose another folder."
            )


def _write(jobs: Sequence[ShardJob], ledger: Ledger, workers: int) -> None:
    left = [job for job in jobs if not _is_done(job, ledger.shards)]
    total, to_do = (sum(len(job.pairs) for job in some) for some in (jobs, left))
    with tqdm(desc=str(ledger.folder), total=total, initial=total - to_do, unit="pair") as bar:
        for key, shard in in_processes(write_job, left, workers):
            ledger.add(key, shard)
            bar.update(shard.count + len(shard.left_out))


def _is_done(job: ShardJob, noted: Mapping[str, Shard]) -> bool:
    # Without the switch nothing may be missing, whatever was begun with it, by other parts too.
    return _is_whole(job, noted) and (job.recipe.skip_bad or not noted[job.key].left_out)


def _is_whole(job: ShardJob, noted: Mapping[str, Shard]) -> bool:
    shard, file = noted.get(job.key), job.folder / job.name
    if shard is None or not shard.count:
        return shard is not None
    return file.is_file() and file.stat().st_size == shard.bytes


def _join(
    jobs: Sequence[ShardJob], splits: Splits, ledger: Ledger, notes: Mapping[str, object]
) -> None:
    """Write the indexes when all parts are there."""
    written = ledger.of_all_parts()
    missing = [job.key for job in jobs if not _is_done(job, written)]
    if missing and all((ledger.folder / split / INDEX).is_file() for split in splits):
        # It ended at the same time and has deleted the ledgers.
        part = ledger.part
        print(f"Part {part.number}/{part.of} is whole, and another part has written the index.")
        return
    if missing:
        print(
            f"Part {ledger.part.number}/{ledger.part.of} is whole; {len(missing)} of {len(jobs)} "
            f"shards are left to other parts, the first is {missing[0]}. The last part to end "
            "writes the index."
        )
        return
    folders: dict[Path, list[ShardJob]] = {ledger.folder / split: [] for split in splits}
    for job in jobs:
        folders[job.folder].append(job)
    for folder, own in folders.items():
        _refuse_empty(own, written, folder)
    for folder, own in folders.items():
        _end_split(own, written, folder, notes)
    ledger.delete()


def _refuse_empty(jobs: Sequence[ShardJob], written: Mapping[str, Shard], folder: Path) -> None:
    """Refuse a split of bad pictures alone.

    Raises:
        InputError: with the first of them.
    """
    if not any(written[job.key].count for job in jobs):
        why = next(iter(written[jobs[0].key].left_out.values()))
        raise InputError(
            f"Nothing is left of {folder}, the first picture {why}: give other pictures, and "
            f"delete {folder.parent} to begin anew."
        )


def _end_split(
    jobs: Sequence[ShardJob],
    written: Mapping[str, Shard],
    folder: Path,
    notes: Mapping[str, object],
) -> None:
    """Write a split's index, and the list of what is left out."""
    pairs = {key: group for job in jobs for key, group in job.pairs}
    left_out = {key: why for job in jobs for key, why in written[job.key].left_out.items()}
    shards = [shard for job in jobs if (shard := written[job.key]).count]
    (folder / LEFT_OUT).unlink(missing_ok=True)  # of a start with the switch
    if left_out:
        rows = ({"key": key, "image": pairs[key].image, "why": left_out[key]} for key in left_out)
        (folder / LEFT_OUT).write_text("".join(map(as_line, rows)), encoding="utf-8")
        notes = {**notes, "left_out": len(left_out)}
    write_index(shards, folder, notes)
    for partial in folder.glob(".*.tar.*.partial"):  # of killed processes
        partial.unlink(missing_ok=True)
    texts = sum(len(group.captions) for key, group in pairs.items() if key not in left_out)
    told = f"; left out: {len(left_out)}, see {folder / LEFT_OUT}" if left_out else ""
    print(f"{folder.name}: {len(pairs) - len(left_out)} pictures, {texts} captions{told}")
