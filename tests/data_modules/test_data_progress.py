"""`softmask data check` and `stats`, killed and started again: what was done is not done again."""

import json
import os
import signal
import time
from pathlib import Path

import program
import pytest
from fake import fake_pairs

from data_modules import check, stats
from data_modules.commands import main
from data_modules.examine import examine
from data_modules.progress import Progress
from data_modules.tally import tally_job
from data_modules.write import write_shards

SHARDS, EACH = 6, 4


def slow(function, done):
    """The same, later, and noted in a file."""

    def later(job):
        time.sleep(0.3)
        with Path(done).open("a") as file:
            file.write(f"{job[0]}\n")
        return function(job)

    return later


def slow_run(verb: str, flags: list[str], done: str) -> None:
    """A run for a fresh process."""
    stats.CHUNK = EACH
    check.examine, stats.tally_job = slow(examine, done), slow(tally_job, done)
    main([verb, *flags])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    pairs = list(fake_pairs(SHARDS * EACH))
    pairs[5] = pairs[5]._replace(image=b"<html>")
    pairs[9] = pairs[9]._replace(key=pairs[2].key)
    write_shards(pairs, folder, shard_size=EACH)
    return folder


def flags_of(verb, folder, output):
    target = ["--report", output / "check.json"] if verb == "check" else ["--output", output]
    return ["--path", folder, *target]


def read(verb, output):
    return json.loads((output / f"{verb}.json").read_text())


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


@pytest.mark.parametrize("verb", ["check", "stats"])
def test_killed_it_continues_with_the_same_report(folder, tmp_path, verb, monkeypatch):
    output, done = tmp_path / "out", tmp_path / "done"
    noted = output / f".{verb}.json.progress"
    args = verb, [*map(str, flags_of(verb, folder, output))], str(done)
    for kill in (1, 2):
        running = program.start(slow_run, args, tmp_path / f"killed-{kill}")
        # The first line says what was asked.
        wait_for(lambda: noted.is_file() and noted.read_text().count("\n") > 1 + kill)  # noqa: B023
        assert running.process.is_alive()
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.join()
        assert not (output / f"{verb}.json").exists()
    kept = len(noted.read_text().split("\n")[:-1]) - 1
    with noted.open("a") as file:
        file.write('["cut')  # as by a kill in the middle of a line
    before = len(done.read_text().splitlines())
    ended = program.finish(program.start(slow_run, args, tmp_path / "last"))
    assert ended.code == (1 if verb == "check" else 0), ended.err
    assert len(done.read_text().splitlines()) - before == SHARDS - kept
    assert not noted.exists()
    monkeypatch.setattr(stats, "CHUNK", EACH)
    program.here(["data", verb, *map(str, flags_of(verb, folder, tmp_path / "plain"))])
    assert read(verb, output) == read(verb, tmp_path / "plain")


def test_names_that_are_no_utf_8_are_known_again(tmp_path):
    arguments, report = {"text": "caf\udce9"}, tmp_path / "caf\udce9.json"
    Progress(report, arguments).add("caf\udce9.tar", {"key": "\ud83d"})
    for _ in range(2):  # the first of them writes it anew
        assert Progress(report, arguments).done == {"caf\udce9.tar": {"key": "\ud83d"}}


def test_what_changed_is_looked_at_again(folder, tmp_path):
    report = tmp_path / "check.json"
    first = Progress(report, {"max_pixels": 3})
    first.add("a", {"b": [1, "c"]})
    assert Progress(report, {"max_pixels": 3}).done == {"a": {"b": [1, "c"]}}
    assert Progress(report, {"max_pixels": 4}).done == {}  # asked otherwise: anew
    assert Progress(report, {"max_pixels": 4}).done == {}
    job = check.ShardJob(folder / "00000.tar", 4, None, 100, check.TextOptions())
    before = job.state
    os.utime(job.file, ns=(1, 1))
    assert job.state != before
    assert job._replace(sha256="other").state != job.state


def test_a_report_that_cannot_be_written_is_found_out_first(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    looked = []
    monkeypatch.setattr(check, "examine", looked.append)
    report = tmp_path / "file" / "check.json"
    ended = program.here(["data", "check", "--path", str(folder), "--report", str(report)])
    assert ended.code == 1
    assert str(tmp_path / "file") in ended.err
    assert "Traceback" not in ended.err
    assert looked == []
