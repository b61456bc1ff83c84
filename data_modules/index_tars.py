"""Write the index of tars that other tools made, or that parts of a job wrote."""

import tarfile
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]

from data_modules.ends import check_end
from data_modules.known_counts import Known, known_counts
from data_modules.ledger import Ledger
from data_modules.parallel import in_processes
from data_modules.shards import INDEX, tars_in
from data_modules.tar import TarShard
from data_modules.write import Shard, hash_file, write_index
from softmask.errors import InputError
from softmask.parts import Part


@dataclass(frozen=True)
class IndexJob:
    """One tar to look at: what a worker process is handed."""

    file: Path
    count: int | None  # as another tool noted it
    hash: bool


def index_tars(path: Path, hash: bool = False, workers: int = 0) -> None:
    """Write index.json for a folder of tars.

    Counts come from open_clip's sizes.json, img2dataset's *_stats.json or a wids index when they
    are there (two tars are counted all the same, and each tar's end is looked at); else every tar
    is read. Broken off and started again, it continues.

    Args:
        path: folder that holds the tars.
        hash: compute each tar's SHA-256, and from these the hash of the set, by which a checkpoint
            knows its data.
        workers: processes; 0 does all in this one.

    Raises:
        InputError: if there are no tars, one is broken or empty, or there is an index already.
    """
    files = tars_in(path)
    if not files:
        raise InputError(f"{path} holds no .tar: give the folder that holds the shards.")
    if (path / INDEX).exists():
        raise InputError(
            f"{path / INDEX} is there already: delete it to make it anew, or rename it if it is "
            "another tool's."
        )
    known = known_counts(path, [file.name for file in files])
    if known is not None:
        _check_known(known, files)
    print(f"{path}: samples {'are counted' if known is None else f'as {known.source} says'}")
    ledger = Ledger(path, "index", Part(1, 1), {"hash": hash}, owns=False)
    jobs = [IndexJob(file, known and known.counts[file.name], hash) for file in files]
    left = [job for job in jobs if not _is_done(job, ledger)]
    shards = dict(ledger.shards)
    with tqdm(desc=str(path), total=len(jobs), initial=len(jobs) - len(left), unit="tar") as bar:
        for shard in in_processes(index_job, left, workers):
            ledger.add(shard.name, shard)
            shards[shard.name] = shard
            bar.update()
    count = write_index([shards[file.name] for file in files], path, {})
    ledger.delete()
    print(f"{path}: {len(files)} tars, {count} samples")


def index_job(job: IndexJob) -> Shard:
    """Look at one tar.

    Args:
        job: what is known of it.

    Raises:
        InputError: if it is broken or empty.
    """
    try:
        check_end(job.file)
    except (tarfile.TarError, OSError) as error:
        raise InputError(
            f"The shard {job.file} is no whole, uncompressed tar ({error}): copy or write it again."
        ) from error
    count = TarShard(job.file).count if job.count is None else job.count
    if count == 0:
        raise InputError(f"The shard {job.file} holds no samples: delete it or write it again.")
    digest = hash_file(job.file) if job.hash else ""
    return Shard(job.file.name, count, job.file.stat().st_size, digest)


def _check_known(known: Known, files: list[Path]) -> None:
    for file in files:
        size = file.stat().st_size
        noted = known.sizes.get(file.name, size)
        if size != noted:
            raise InputError(
                f"{file} has {size} bytes but {known.source} says {noted}: copy it again, or "
                f"delete {known.source} to count anew."
            )
    # Two are counted: a source that is of another download is wrong nearly everywhere.
    for file in {files[0], files[-1]}:
        count, noted = TarShard(file).count, known.counts[file.name]
        if count != noted:
            raise InputError(
                f"{file} holds {count} samples but {known.source} says {noted}: delete "
                f"{known.source} to count anew."
            )


def _is_done(job: IndexJob, ledger: Ledger) -> bool:
    shard = ledger.shards.get(job.file.name)
    return shard is not None and job.file.stat().st_size == shard.bytes
