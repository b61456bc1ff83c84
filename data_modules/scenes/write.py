"""Write the scenes of all tasks as shards."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm  # type: ignore[import-untyped]

from data_modules.emoji import CREDIT, LICENSE, is_there
from data_modules.parallel import in_processes
from data_modules.scenes.captions import CAPTIONS
from data_modules.scenes.expressions import EXPRESSIONS
from data_modules.scenes.held_out import SPLITS, TRAIN
from data_modules.scenes.hypotheses import HYPOTHESES
from data_modules.scenes.questions import QUESTIONS, answers
from data_modules.scenes.render import Drawings, render
from data_modules.scenes.samples import Place, Sample, Task
from data_modules.scenes.statements import STATEMENTS
from data_modules.scenes.vocabulary import Thing, find_level, read_things
from data_modules.scenes.world import World
from data_modules.write import Pair, Shard, write_index, write_shard
from softmask.errors import InputError

TASKS = {task.name: task for task in (CAPTIONS, QUESTIONS, STATEMENTS, HYPOTHESES, EXPRESSIONS)}
SHARD_SIZE = 1000
PAIRS = 4
"""Training pairs for each scene of another task: of fewer, pretraining learns captions by heart."""
RECIPE = 3
"""Raised when the same options give other bytes: those of an older recipe are refused."""
SMALLEST = 48  # pixels: drawings are a fifth of the side at level 3


class Options(NamedTuple):
    """What decides on the bytes."""

    scenes: int
    held_out: int
    level: int
    size: int
    seed: int


class Job(NamedTuple):
    """One shard."""

    output: Path
    task: str
    split: str
    number: int
    options: Options
    things: tuple[Thing, ...]

    @property
    def folder(self) -> Path:
        """Give the folder of the shard."""
        return self.output / self.task / self.split

    @property
    def file(self) -> Path:
        """Give the file of the shard."""
        return self.folder / f"{self.number:05d}.tar"


def write_scenes(
    output: Path,
    scenes: int = 6000,
    held_out: int = 500,
    level: int = 1,
    size: int = 96,
    seed: int = 0,
    workers: int = 2,
) -> None:
    """Write scenes for pretraining and each downstream task: output/<task>/<split>.

    Things that meet in a picture of val or test never meet in one of train, though each occurs
    there. No text gives its answer away: each comes with all its answers equally often. Does
    nothing where the same data set is there already.

    Args:
        output: folder of the data sets.
        scenes: training samples of a task, rounded up to whole rounds of its templates; pairs for
            pretraining are four times as many.
        held_out: samples of val and of test each, rounded up as well.
        level: 1 knows 24 things, two or three in a picture; 2 some 150, up to four; 3 all drawings
            of the demo corpus, up to six. Statements about two pictures compare numbers and places
            from 2 on.
        size: side of the pictures in pixels.
        seed: of all that is drawn by lot.
        workers: processes; 0 does all in this one.

    Raises:
        InputError: if an option cannot be used, the pictures or names are not installed, or
            another data set is in the way.
    """
    if scenes < 1 or held_out < 1 or size < SMALLEST:
        raise InputError(
            f"scenes is {scenes}, held_out {held_out} and size {size}: give 1 scene or more of "
            f"each, and pictures of {SMALLEST} pixels or more."
        )
    options = Options(scenes, held_out, level, size, seed)
    noted = {"source": "scenes", "recipe": RECIPE, **options._asdict()}
    things = read_things(find_level(level))
    jobs = [
        job
        for task in TASKS
        for split in SPLITS
        if not is_there(output / task / split, noted)
        for job in _jobs(output, task, split, options, things)
    ]
    if not jobs:
        return
    _write_answers(output, make_world(options, TRAIN, things))
    shards = _write_shards(jobs, workers)
    notes = {"credit": CREDIT, "license": LICENSE, "options": noted}
    for folder in dict.fromkeys(job.folder for job in jobs):
        mine = [shards[job.file] for job in jobs if job.folder == folder]
        print(f"{folder}: {write_index(mine, folder, notes)} samples")
    text = f"Pictures: {CREDIT}.\nLicence: {LICENSE}.\nChanges: composed to scenes.\n"
    (output / "LICENSE").write_text(text, encoding="utf-8")


def make_world(options: Options, split: str, things: Sequence[Thing]) -> World:
    """Give the world of a split.

    Args:
        options: of the data set.
        split: train, val or test.
        things: of the level.
    """
    return World(things, find_level(options.level), split, options.size, options.seed)


def write_job(job: Job) -> tuple[Path, Shard]:
    """Write the shard of a job, and give its file and its line of the index."""
    job.folder.mkdir(parents=True, exist_ok=True)
    return job.file, write_shard(_pairs(job), job.folder, job.file.name)


def tasks_at(level: int) -> dict[str, Task]:
    """Give the tasks by name as a level has them."""
    return {name: task.at(level) for name, task in TASKS.items()}


def places(task: Task, split: str, options: Options) -> list[Place]:
    """List a split's places: whole rounds, so that labels are balanced."""
    more = PAIRS if task.name == CAPTIONS.name else 1
    wanted = more * options.scenes if split == TRAIN else options.held_out
    return task.plan(split, -(-wanted // task.round), options.seed)


def _jobs(
    output: Path, task: str, split: str, options: Options, things: tuple[Thing, ...]
) -> list[Job]:
    shards = -(-len(places(tasks_at(options.level)[task], split, options)) // SHARD_SIZE)
    return [Job(output, task, split, number, options, things) for number in range(shards)]


def _write_shards(jobs: Sequence[Job], workers: int) -> dict[Path, Shard]:
    shards = {}
    total = sum(
        len(places(tasks_at(job.options.level)[job.task], job.split, job.options))
        for job in jobs
        if job.number == 0
    )
    with tqdm(desc=str(jobs[0].output), total=total, unit="sample") as bar:
        for file, shard in in_processes(write_job, jobs, workers):
            shards[file] = shard
            bar.update(shard.count)
    return shards


def _pairs(job: Job) -> Iterator[Pair]:
    task, options = tasks_at(job.options.level)[job.task], job.options
    world = make_world(options, job.split, job.things)
    first = job.number * SHARD_SIZE
    mine = places(task, job.split, options)[first : first + SHARD_SIZE]
    for group, members in groupby(mine, key=lambda place: place.group):
        found = task.compose(world, group, options.seed)
        for place in members:
            yield _pair(task, place, found[place.member], world.drawings)


def _pair(task: Task, place: Place, sample: Sample, drawings: Drawings) -> Pair:
    images = [render(scene, drawings) for scene in sample.scenes]
    notes = {**sample.notes, **task.ids(place)}
    second = images[1] if len(images) > 1 else None
    return Pair(place.image_id, images[0], "png", list(sample.texts), notes, second)


def _write_answers(output: Path, world: World) -> None:
    folder = output / QUESTIONS.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "answers.json").write_text(json.dumps(answers(world)) + "\n", encoding="utf-8")
