"""What a long job was asked for and which of its shards are whole, on disk: it survives a kill."""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from data_modules.write import Shard
from softmask.errors import InputError
from softmask.parts import Part


class Ledger:
    """The first line has the arguments, each further line a shard.

    Args:
        folder: of the output; made if missing.
        job: "write" or "index".
        part: of the job.
        arguments: on which the bytes depend, by the names that a user knows.
        owns: whether all in the folder is the job's output. An index is not: the tars beside it may
            be the only ones.

    Raises:
        InputError: if the job was begun with other arguments.
    """

    def __init__(
        self,
        folder: Path,
        job: str,
        part: Part,
        arguments: Mapping[str, object],
        *,
        owns: bool = True,
    ) -> None:
        self.folder, self.job, self.part, self.owns = folder, job, part, owns
        self.file = folder / f".{job}-{part.number}-of-{part.of}.jsonl"
        self._arguments = json.loads(json.dumps(arguments))
        self.shards: dict[str, Shard] = {}
        for file in self._files():
            with suppress(FileNotFoundError):
                self._check(file)
        if self.file.is_file():
            self.shards = _read(self.file)[1]
        self._begin()

    def add(self, key: str, shard: Shard) -> None:
        """Note a whole shard.

        Args:
            key: its path in the folder.
            shard: what the index will say of it.
        """
        with self.file.open("a", encoding="utf-8") as file:
            file.write(as_line({"key": key, **asdict(shard)}))
            sync(file)

    def of_all_parts(self) -> dict[str, Shard]:
        """Give the shards that all parts have noted in this folder."""
        shards: dict[str, Shard] = {}
        for file in self._files():
            with suppress(FileNotFoundError):  # another part has joined all and deletes ledgers
                shards |= _read(file)[1]
        return shards

    def delete(self) -> None:
        """End the job: forget all parts."""
        for file in (*self._files(), *self.folder.glob(f".{self.job}-*.partial")):
            file.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return ledgers(self.folder, self.job)

    def _check(self, file: Path) -> None:
        begun, _ = _read(file)
        begun = {"part": f"of {file.stem.rpartition('-')[2]}", **begun}
        now = {"part": f"of {self.part.of}", **self._arguments}
        for name in (*now, *begun):
            if begun.get(name) != now.get(name):
                raise InputError(
                    f"{self.folder} holds a job that was begun with {name} {begun.get(name)!r}, "
                    f"and now it is {now.get(name)!r}: give the same to continue, or delete "
                    f"{self.folder if self.owns else file} to begin anew."
                )

    def _begin(self) -> None:
        # Written anew: a kill may have cut the last line in two.
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_suffix(f".{os.getpid()}.partial")
        shards = ({"key": key, **asdict(shard)} for key, shard in self.shards.items())
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(map(as_line, ({"arguments": self._arguments}, *shards)))
            sync(file)
        os.replace(partial, self.file)


def ledgers(folder: Path, job: str) -> list[Path]:
    """Find the ledgers of a job's parts."""
    return sorted(folder.glob(f".{job}-*-of-*.jsonl"))


def _read(file: Path) -> tuple[dict[str, object], dict[str, Shard]]:
    try:
        lines = file.read_text(encoding="utf-8").split("\n")[:-1]  # whole ones only
        first, *rest = map(json.loads, lines)
        return dict(first["arguments"]), _shards(rest)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} notes how far a job came and cannot be read: delete this file, and nothing "
            "else, to begin anew."
        ) from error


def _shards(rows: Iterable[dict[str, object]]) -> dict[str, Shard]:
    return {str(row.pop("key")): Shard(**row) for row in rows}  # type: ignore[arg-type]


def as_line(value: object) -> str:
    """Write a value as a line of JSON, in ASCII: names of files and keys need not be UTF-8."""
    return json.dumps(value) + "\n"


def sync(file: TextIO) -> None:
    """See to it that a file lies on the disk."""
    file.flush()
    os.fsync(file.fileno())
