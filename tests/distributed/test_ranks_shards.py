"""Shards that do not suit two ranks: the run ends well, or with a named reason, and soon."""

import shutil

import program
import ranks
import seen
from fake import fake_pairs
from test_ranks_resume import TWO

from data_modules.write import write_shards

STEPS = 5


def run(corpus, folder, train, *, other=None):
    """Two ranks; the second reads `other` when it is given: its own disk, so to speak."""
    overlays = [seen.overlay(folder, steps=STEPS)]
    args = [*program.arguments("fit", corpus, folder, overlays=overlays), *TWO]
    flags = [("--data.init_args.train", str(path)) for path in (train, other or train)]
    return ranks.on_both(args, folder, flags=flags)


def write(folder, *counts):
    """A data set of shards of these sizes."""
    pairs = fake_pairs(sum(counts))
    for number, count in enumerate(counts):
        part = folder.parent / f"part-{number}"
        write_shards((next(pairs) for _ in range(count)), part, shard_size=count)
        folder.mkdir(exist_ok=True)
        (source,) = part.glob("*.tar")
        shutil.move(source, folder / f"{number:05d}.tar")
        shutil.rmtree(part)
    return folder


def test_uneven_shards_end_with_equal_steps(corpus, tmp_path):
    ended = run(corpus, tmp_path, write(tmp_path / "train", 1, 8, 2, 1))
    assert [one.code for one in ended] == [0, 0], ended[0].err
    for rank in range(2):
        lines = seen.read(tmp_path, rank)
        assert seen.steps(lines) == list(range(STEPS))
        assert all(len(line["samples"]) == 2 for line in lines)
    assert seen.last(tmp_path)["global_step"] == STEPS


def test_too_few_samples_are_named(corpus, tmp_path):
    ended = run(corpus, tmp_path, write(tmp_path / "train", 2, 1))
    assert [one.code for one in ended] == [1, 1]
    for one in ended:
        assert "holds 3 samples but one step takes 4" in one.err
        assert "Traceback" not in one.err


def test_a_shard_that_is_missing_is_named(corpus, tmp_path):
    train = write(tmp_path / "train", 4, 4, 4)
    ended = run(corpus, tmp_path, f"{train}/{{00000..00003}}.tar")
    assert [one.code for one in ended] == [1, 1]
    for one in ended:
        assert f"The shard {train}/00003.tar" in one.err
        assert "does not exist" in one.err


def test_a_shard_that_one_rank_misses_ends_both(corpus, tmp_path):
    ended = run(corpus, tmp_path, corpus / "train", other=_without_its_last_shard(corpus, tmp_path))
    assert all(one.code != 0 for one in ended)
    assert "does not exist" in ended[1].err


def test_a_shard_that_goes_bad_on_one_rank_ends_both(corpus, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(corpus / "train", other)
    shards = sorted(other.glob("*.tar"))
    shutil.copy(shards[1], shards[0])  # another number of samples than its index says
    ended = run(corpus, tmp_path, corpus / "train", other=other)
    assert all(one.code != 0 for one in ended)
    assert f"The shard {shards[0]} holds" in ended[1].err


def _without_its_last_shard(corpus, folder):
    shutil.copytree(corpus / "train", folder / "other")
    max((folder / "other").glob("*.tar")).unlink()
    return folder / "other"
