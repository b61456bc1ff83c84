"""`softmask embed` on several processes makes the bytes of one, killed or not."""

import os
import signal
import subprocess
import sys
import time

import program
import pytest
import ranks
from asked import TEXTS, write_model, write_pictures, write_table
from program import here

from softmask.ask import making
from softmask.program import main

CHUNKS = 7  # of two places: of pictures three, of texts four


@pytest.fixture(scope="module")
def args(tmp_path_factory):
    """Of a run on one process."""
    folder = tmp_path_factory.mktemp("embedded")
    write_pictures(folder / "them")
    rows = [(f"{number:02d}.png", TEXTS[number]) for number in range(6)]
    table = write_table(folder / "them" / "pairs.csv", [*rows, ("00.png", "twice the same")])
    model = write_model(folder / "model")
    return ["embed", "--model", str(model), "--csv", str(table), "--chunk", "2"]


@pytest.fixture(scope="module")
def one(args, tmp_path_factory):
    """What one process makes."""
    output = tmp_path_factory.mktemp("one") / "features"
    assert here([*args, "--output", str(output)]).code == 0
    made = files(output)
    assert len(made) == 2 * CHUNKS + 1
    return made


@pytest.fixture
def two(args, tmp_path):
    """Arguments of a run on two ranks, and where they write."""
    output = tmp_path / "features"
    return [*args, "--output", str(output), "--devices", "2"], output


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def whole(folder):
    return len([*folder.glob("*.npy")])


def both(args, folder):
    ended = ranks.on_both(args, folder)
    assert [one.code for one in ended] == [0, 0], ended[0].err + ended[1].err
    return ended


def standing(args, most):
    """A rank that stands still before a chunk."""
    write, written = making.write_chunk, []

    def stopping(*given):
        if len(written) == most:
            time.sleep(600)
        write(*given)
        written.append(given)

    making.write_chunk = stopping
    main(args)


def begun(args, folder, most):
    """Two ranks, each of which stands still after so many chunks."""
    return [
        program.start(standing, (args, most[rank]), folder / str(rank), place)
        for rank, place in enumerate(ranks.places(2))
    ]


def await_chunks(output, count):
    end = time.monotonic() + 100
    while whole(output) < count and time.monotonic() < end:
        time.sleep(0.02)
    assert whole(output) == count


def kill(running):
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.join()


def test_two_ranks_make_the_bytes_of_one(two, one, tmp_path):
    args, output = two
    ended = both(args, tmp_path / "ranks")
    assert files(output) == one
    assert [rank.out for rank in ended] == [f"Written: {output}/index.json\n", ""]
    assert "7/7" in ended[0].err  # its bar counts its own share of the 13 places
    assert "place/s" not in ended[1].err


def test_both_killed_one_process_goes_on(args, two, one, tmp_path):
    arguments, output = two
    running = begun(arguments, tmp_path / "ranks", (1, 1))
    await_chunks(output, 2)
    for rank in running:
        kill(rank)
    kept = {path: path.stat().st_mtime_ns for path in output.glob("*.npy")}
    assert not (output / "index.json").exists()
    ended = here([*args, "--output", str(output)])
    assert ended.code == 0, ended.err
    assert files(output) == one
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # not made again


def test_one_killed_the_other_says_so_and_two_go_on(two, one, tmp_path):
    args, output = two
    first, second = begun(args, tmp_path / "ranks", (99, 1))
    await_chunks(output, 5)  # all four of the first rank
    kill(second)
    ended = program.finish(first, timeout=60)
    assert ended.code == 1
    assert "Another rank ended before its chunks were whole" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err
    assert not (output / "index.json").exists()
    both(args, tmp_path / "again")
    assert files(output) == one


def test_terminated_while_it_waits_a_rank_ends(two, tmp_path):
    args, output = two
    first, second = begun(args, tmp_path / "ranks", (99, 1))
    await_chunks(output, 5)
    os.kill(first.process.pid, signal.SIGTERM)
    assert program.finish(first, timeout=60).code == 128 + signal.SIGTERM
    kill(second)


def test_two_ranks_go_on_from_a_part_of_one(args, two, one, tmp_path):
    arguments, output = two
    assert here([*args, "--output", str(output), "--part", "2/3"]).code == 0
    assert whole(output) == 2
    both(arguments, tmp_path / "ranks")
    assert files(output) == one


def test_the_program_starts_its_ranks(two, one):
    args, output = two
    done = subprocess.run(
        [sys.executable, "-m", "softmask", *args], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == f"Written: {output}/index.json\n"
    assert files(output) == one


def test_ranks_that_were_started_end_with_the_first(args, tmp_path):
    """The second one would else write its chunk, seconds after the first was refused."""
    rows = [("lost.png", f"number {number}") for number in range(40_000)]
    table, output = write_table(tmp_path / "long.csv", rows), tmp_path / "features"
    given = ["embed", *args[1:3], "--csv", str(table), "--output", str(output)]
    given += ["--chunk", "40000", "--devices", "2"]  # a chunk of pictures, one of texts
    # It returns when all that hold its pipes have ended.
    done = subprocess.run(
        [sys.executable, "-m", "softmask", *given], capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0
    assert done.stderr.count("--skip_bad true") == 1
    assert whole(output) == 0


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--devices 0", "devices is 0: give 1 or more"),
        ("--devices -1 --num_nodes 0", "devices is -1 and num_nodes is 0"),
        ("--devices 2 --part 1/2", "--part 1/2 and --devices 2"),
        ("--devices 99 --device cuda", "--devices is 99, and this machine has"),
        ("--devices 2 --device cuda:0", "give --device cpu or --device cuda"),
        ("--devices 2 --device nonsense", "give --device cpu or --device cuda"),
    ],
)
def test_what_cannot_be_is_one_paragraph_and_leaves_nothing(flags, says, args, tmp_path):
    ended = here([*args, "--output", str(tmp_path / "out"), *flags.split()])
    assert ended.code == 1
    assert ended.err.startswith("softmask: ")
    assert ended.err.count("\n") == 1
    assert says in ended.err
    assert not (tmp_path / "out").exists()
