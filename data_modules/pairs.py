"""Write the user's own pictures and captions as shards."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped]

from data_modules.annotations import Format, Split, put_into_split, read_annotations
from data_modules.decode import Pixels, decode
from data_modules.formats.group import Group
from data_modules.headers import read_header
from data_modules.identifiers import check_ids
from data_modules.image import on_white
from data_modules.ledger import Ledger, ledgers
from data_modules.parallel import in_processes
from data_modules.plan import Recipe, ShardJob, Splits, fingerprint, shard_jobs, shuffled_splits
from data_modules.reasons import BadSample, Mend
from data_modules.shards import INDEX
from data_modules.write import EXTENSIONS, Pair, Shard, write_index, write_shard
from softmask.errors import InputError
from softmask.parts import parse_part


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

    Raises:
        InputError: if the captions, a picture or an option cannot be used, ids of samples to
            evaluate come twice, or the output holds another data set or one begun otherwise.
    """
    recipe, chosen = _recipe(images, short_side, quality), parse_part(part)
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


def _recipe(images: Path, short_side: int, quality: int) -> Recipe:
    if not 1 <= quality <= 100 or short_side < 0:
        raise InputError(
            f"quality is {quality} and short_side {short_side}: give a quality from 1 to 100 and a "
            "side of 0 or more pixels."
        )
    return Recipe(images, short_side, quality)


def shrink(data: bytes, short_side: int, quality: int, name: str) -> tuple[bytes, str]:
    """Encode a picture anew as JPEG if its shorter side is larger than short_side.

    Args:
        data: the file's bytes.
        short_side: pixels; 0 keeps the bytes.
        quality: of the JPEG.
        name: of the file.

    Returns:
        The bytes and their extension.

    Raises:
        InputError: if it is no picture.
    """
    extension = Path(name).suffix.lower().lstrip(".")
    if extension in EXTENSIONS and short_side == 0:
        return data, extension
    flags = cv2.IMREAD_COLOR if extension in ("jpg", "jpeg") else cv2.IMREAD_UNCHANGED
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:  # more pixels than OpenCV allows
        pixels = None
    if pixels is None:
        raise InputError(f"The picture {name!r} cannot be decoded: replace it or remove its rows.")
    shortest = min(pixels.shape[:2])
    opaque = pixels.ndim == 2 or pixels.shape[2] == 3
    if extension in EXTENSIONS and shortest <= short_side and opaque:
        return data, extension
    if flags == cv2.IMREAD_UNCHANGED and _is_turned(data):  # which that flag leaves as it is stored
        pixels = _upright(data, name)
    small = _resize(on_white(pixels), short_side) if 0 < short_side < shortest else on_white(pixels)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes(), "jpg"


def _is_turned(data: bytes) -> bool:
    try:
        return Mend.ROTATED in read_header(data).mends
    except BadSample:  # OpenCV reads more kinds of files
        return False


def _upright(data: bytes, name: str) -> Pixels:
    """Decode as training does, but to BGR.

    Raises:
        InputError: if training could not.
    """
    try:
        return np.asarray(cv2.cvtColor(decode(data), cv2.COLOR_RGB2BGR), np.uint8)
    except BadSample as bad:
        raise InputError(
            f"The picture {name!r} is to be turned and {bad.detail}: replace it or remove its rows."
        ) from bad


def write_job(job: ShardJob) -> tuple[str, Shard]:
    """Write the shard of a job.

    Args:
        job: what to write.

    Returns:
        The shard's path in the output and its line of the index.

    Raises:
        InputError: if a picture cannot be used.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    return job.key, write_shard(_pairs(job), job.folder, job.name)


def _resize(pixels: Pixels, short_side: int) -> Pixels:
    height, width = pixels.shape[:2]
    scale = short_side / min(height, width)
    target = (max(short_side, round(width * scale)), max(short_side, round(height * scale)))
    return np.asarray(cv2.resize(pixels, target, interpolation=cv2.INTER_AREA), np.uint8)


def _pairs(job: ShardJob) -> Iterator[Pair]:
    recipe = job.recipe
    for key, group in job.pairs:
        stored = _read(group, group.image, recipe.images)
        data, extension = shrink(stored, recipe.short_side, recipe.quality, group.image)
        image_id = group.image if group.image_id is None else group.image_id
        meta = {**group.meta, "image": group.image, "image_id": image_id}
        if group.second is None:
            yield Pair(key, data, extension, group.captions, meta)
            continue
        meta["second_image"] = group.second
        stored = _read(group, group.second, recipe.images)
        second = shrink(stored, recipe.short_side, recipe.quality, group.second)
        yield Pair(key, data, extension, group.captions, meta, *second)


def _read(group: Group, name: str, images: Path) -> bytes:
    try:
        if group.stored is None:
            return (images / name).read_bytes()
        with group.stored.file.open("rb") as data:
            data.seek(group.stored.offset)
            return data.read(group.stored.size)
    except OSError as error:
        raise InputError(
            f"The picture {name!r} cannot be read ({error}): replace it or remove its rows."
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
    left = [job for job in jobs if not _is_whole(job, ledger.shards)]
    total, to_do = (sum(len(job.pairs) for job in some) for some in (jobs, left))
    with tqdm(desc=str(ledger.folder), total=total, initial=total - to_do, unit="pair") as bar:
        for key, shard in in_processes(write_job, left, workers):
            ledger.add(key, shard)
            bar.update(shard.count)


def _is_whole(job: ShardJob, noted: Mapping[str, Shard]) -> bool:
    shard, file = noted.get(job.key), job.folder / job.name
    return shard is not None and file.is_file() and file.stat().st_size == shard.bytes


def _join(
    jobs: Sequence[ShardJob], splits: Splits, ledger: Ledger, notes: Mapping[str, object]
) -> None:
    """Write the indexes when all parts are there."""
    written = ledger.of_all_parts()
    missing = [job.key for job in jobs if not _is_whole(job, written)]
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
    for split, members in splits.items():
        folder = ledger.folder / split
        write_index([written[job.key] for job in jobs if job.folder == folder], folder, notes)
        for partial in folder.glob(".*.tar.*.partial"):  # of killed processes
            partial.unlink(missing_ok=True)
        texts = sum(len(member.captions) for member in members)
        print(f"{split}: {len(members)} pictures, {texts} captions")
    ledger.delete()
