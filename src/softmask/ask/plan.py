"""What an index of features is made of, noted on disk before the first chunk and after the last."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from softmask.ask.chunks import Format, is_whole
from softmask.ask.sources import Kind
from softmask.errors import InputError, first_line
from softmask.whole import write_whole

FORMAT = "softmask-features-1"
INDEX, BEGUN = "index.json", ".begun.json"


class Job(NamedTuple):
    """A chunk to be made."""

    kind: Kind
    number: int
    stem: str  # name of its files


class BegunOtherwiseError(InputError):
    """A folder holds features of something else, or made by other options."""


@dataclass(frozen=True)
class Held:
    """Pictures, or texts, of an index."""

    chunks: int
    root: str  # folder that names are relative to, or the shards
    hash: str  # of the source
    files: str = ""  # of its pictures' files, which may be replaced under their names


@dataclass(frozen=True)
class Plan:
    """All that the bytes of an index depend on; the device alone is left out."""

    fingerprint: str  # of the model
    width: int
    held: Mapping[Kind, Held]
    shards: bool
    format: Format
    store: str  # float16 or float32
    chunk: int
    batch_size: int
    dtype: str

    def jobs(self) -> list[Job]:
        """Every chunk, in order."""
        return [
            Job(kind, number, stem(kind, number))
            for kind, held in self.held.items()
            for number in range(held.chunks)
        ]


def stem(kind: Kind, number: int) -> str:
    """Name of a chunk."""
    return f"{kind}-{number:05d}"


def begin(folder: Path, plan: Plan) -> None:
    """Note what is begun, or see that the same goes on.

    Raises:
        BegunOtherwiseError: the folder holds features of something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (BEGUN, INDEX):
        if (folder / name).is_file():
            _compare(folder, read_content(folder / name)["plan"], _plain(plan))
            return
    write_whole(folder / BEGUN, partial(_dump, {"format": FORMAT, "plan": _plain(plan)}))


def join(folder: Path, plan: Plan, model: str, checkpoint: str) -> Sequence[str]:
    """Write index.json if every chunk is there.

    Returns:
        The chunks that are left to do.
    """
    left = [job.stem for job in plan.jobs() if not is_whole(folder, job.stem, plan.format)]
    if not left:
        content = {"format": FORMAT, "model": model, "checkpoint": checkpoint, "plan": _plain(plan)}
        write_whole(folder / INDEX, partial(_dump, content))
        (folder / BEGUN).unlink(missing_ok=True)
        for file in folder.glob(".*.partial"):  # of killed processes
            # Of another part, which ends at the same time and gives it its name soon.
            if not file.name.startswith(f".{INDEX}."):
                file.unlink(missing_ok=True)
    return left


def _plain(plan: Plan) -> dict[str, Any]:
    return dict(json.loads(json.dumps(asdict(plan))))


def _dump(content: object, file: IO[bytes]) -> None:
    file.write((json.dumps(content, indent=1) + "\n").encode())


def read_content(file: Path) -> dict[str, Any]:
    """What index.json or its forerunner says.

    Raises:
        InputError: it is not there, or of another format.
    """
    try:
        content = json.loads(file.read_bytes())
        known = content["format"] == FORMAT and {*content["plan"]} == {f.name for f in fields(Plan)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"'{file.parent}' holds no features ({first_line(error)}): give a folder made by "
            f"`softmask embed`."
        ) from error
    if not known:
        raise InputError(f"{file} is not of the format {FORMAT}: embed again with this version.")
    held = content["plan"]["held"]  # older versions noted no files, also of what has none
    content["plan"]["held"] = {kind: {"files": "", **each} for kind, each in held.items()}
    return dict(content)


def _compare(folder: Path, begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for name in now:
        if name == "held" and _replaced(begun[name], now[name]):
            raise BegunOtherwiseError(
                f"Pictures were replaced since the features in '{folder}' were begun: their names "
                f"are the same, but sizes or times of files are not (or an older version did not "
                f"note them). Give another --output, or delete '{folder}' to embed all again."
            )
        if begun.get(name) != now[name]:
            raise BegunOtherwiseError(
                f"'{folder}' was begun with {name} {_short(begun.get(name))}, and now it is "
                f"{_short(now[name])}: give the same to continue, or another --output."
            )


Names = Mapping[str, Mapping[str, object]]


def _replaced(begun: Names, now: Names) -> bool:
    """Whether the same names are held, and other files."""
    kept, given = (
        {kind: {**each, "files": ""} for kind, each in held.items()} for held in (begun, now)
    )
    return begun != now and kept == given


def _short(value: object) -> str:
    return json.dumps(value)[:200]
