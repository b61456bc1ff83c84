"""One shard looked at as training would read it, and beyond where training would stop."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_modules.contents import MAX_CAPTION, captions, meta, pictures, sides, task_text
from data_modules.decode import decode
from data_modules.fields import Fields, check_fields, fields_of
from data_modules.headers import read_header
from data_modules.identifiers import sample_id
from data_modules.reasons import BadSample, Mend, Reason
from data_modules.salvage import read_stored
from data_modules.seeds import hash63
from data_modules.shards import Sample
from data_modules.tar import StoredSample
from data_modules.text import Text, TextOptions, is_shown

EXAMPLES = 5  # kept for each reason
PICKLES = re.compile(r"(.*\.)?(pkl|pickle|pyd|pt|pth)")


class Example(NamedTuple):
    """Where a fault was seen."""

    shard: str
    key: str
    detail: str


@dataclass
class Findings:
    """Counts that add up over shards."""

    samples: int = 0
    good: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)  # good samples by what tasks read of them
    examples: dict[str, list[Example]] = field(default_factory=dict)

    def note(self, reason: Reason, example: Example) -> None:
        """Count a fault."""
        self.problems[reason.value] += 1
        known = self.examples.setdefault(reason.value, [])
        if len(known) < EXAMPLES:
            known.append(example)

    def add(self, other: "Findings") -> None:
        """Add another shard's."""
        self.samples += other.samples
        self.good += other.good
        self.problems.update(other.problems)
        self.mended.update(other.mended)
        self.fields.update(other.fields)
        for reason, examples in other.examples.items():
            known = self.examples.setdefault(reason, [])
            known += examples[: EXAMPLES - len(known)]

    def as_json(self) -> dict[str, Any]:
        """Give them as what JSON can hold."""
        return dict(vars(self))

    @classmethod
    def of_json(cls, said: dict[str, Any]) -> "Findings":
        """The inverse of `as_json`."""
        examples = {k: [Example(*one) for one in kept] for k, kept in said["examples"].items()}
        problems, mended, read = (Counter(said[n]) for n in ("problems", "mended", "fields"))
        return cls(said["samples"], said["good"], problems, mended, read, examples)


class ShardJob(NamedTuple):
    """A shard to look at."""

    file: Path
    indexed: int | None  # samples by the index
    sha256: str | None  # by the index
    max_pixels: int
    text: TextOptions

    @property
    def state(self) -> str:
        """Name the file as it is now: of another size or time it is another one."""
        if not self.file.is_file():
            return f"{self.file}"
        now = self.file.stat()
        return (
            f"{self.file}, {now.st_size} bytes of {now.st_mtime_ns}, {self.indexed}, {self.sha256}"
        )


class Examined(NamedTuple):
    """A shard's findings, and its keys and its samples' ids as numbers."""

    file: Path
    findings: Findings
    keys: NDArray[np.int64]
    ids: NDArray[np.int64]  # of the samples that have one

    def as_json(self) -> dict[str, Any]:
        """Give it as what JSON can hold, but for the file."""
        numbers = {"keys": self.keys.tolist(), "ids": self.ids.tolist()}
        return {"findings": self.findings.as_json(), **numbers}

    @classmethod
    def of_json(cls, file: Path, said: dict[str, Any]) -> "Examined":
        """The inverse of `as_json`."""
        keys, ids = (np.array(said[name], dtype=np.int64) for name in ("keys", "ids"))
        return cls(file, Findings.of_json(said["findings"]), keys, ids)


def examine(job: ShardJob) -> Examined:
    """Look at every sample of a shard."""
    found, shard = Findings(), str(job.file)
    if not job.file.is_file():
        found.note(Reason.MISSING_SHARD, Example(shard, "", "is in the index but not on the disk"))
        return Examined(job.file, found, _numbers(()), _numbers(()))
    stored = _stored(job.file, found)
    if not found.problems:
        _compare(job, len(stored), found)
    notes = list(read_notes(job.file, stored))
    fields = fields_of(zip((members for _, members in stored), notes, strict=True))
    look = _Look(job.max_pixels, Text(job.text), fields)
    for sample, told in zip(read_samples(job.file, stored), notes, strict=True):
        look(sample, told, found)
    return Examined(job.file, found, _numbers(look.keys), _numbers(look.ids))


def _numbers(names: Iterable[str]) -> NDArray[np.int64]:
    return np.array(sorted(map(hash63, names)), dtype=np.int64)


def _compare(job: ShardJob, count: int, found: Findings) -> None:
    shard = str(job.file)
    if job.indexed not in (None, count):
        detail = f"holds {count} samples, the index says {job.indexed}"
        found.note(Reason.WRONG_COUNT, Example(shard, "", detail))
    elif job.sha256 is not None:
        with job.file.open("rb") as data:
            digest = hashlib.file_digest(data, "sha256").hexdigest()
        if digest != job.sha256:
            # Decoders pass over much damage: this finds all of it.
            detail = "has other bytes than when it was written"
            found.note(Reason.CHANGED_SHARD, Example(shard, "", detail))


def _stored(file: Path, found: Findings) -> list[StoredSample]:
    stored, faults = read_stored(file)
    for fault in faults:
        found.note(fault.reason, Example(str(file), fault.name, fault.detail))
    if not stored and not found.problems:
        found.note(Reason.EMPTY_SHARD, Example(str(file), "", "holds no samples"))
    return stored


def read_samples(file: Path, stored: Sequence[StoredSample]) -> Iterator[Sample]:
    """Read samples in their order."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        for position, (key, members) in enumerate(stored):
            columns = {
                column: os.pread(descriptor, member.size, member.offset)
                for column, member in members.items()
            }
            yield Sample(position, str(file), key, columns)
    finally:
        os.close(descriptor)


def read_notes(file: Path, stored: Sequence[StoredSample]) -> Iterator[dict[str, object]]:
    """Read the json of samples in their order; empty where there is none to be read."""
    bare = [(key, {c: m for c, m in members.items() if c == "json"}) for key, members in stored]
    for sample in read_samples(file, bare):
        try:
            yield meta(sample)
        except BadSample:
            yield {}


class _Look:
    """What training does with a sample but for the draws."""

    def __init__(self, max_pixels: int, text: Text, fields: Fields) -> None:
        self.max_pixels, self.text, self.fields = max_pixels, text, fields
        self.whole = Text(replace(text.options, max_tokens=MAX_CAPTION))  # cuts nothing
        self.keys: set[str] = set()
        self.ids: set[str] = set()

    def __call__(self, sample: Sample, notes: Mapping[str, object], found: Findings) -> None:
        found.samples += 1
        for column in filter(PICKLES.fullmatch, sample.columns):
            detail = f"has the column {column!r}, which is never opened"
            found.note(Reason.PICKLE_COLUMN, Example(sample.shard, sample.key, detail))
        if sample.key in self.keys:
            detail = "comes a second time in the shard"
            found.note(Reason.DUPLICATE_KEY, Example(sample.shard, sample.key, detail))
        self.keys.add(sample.key)
        name = sample_id(notes)
        if name in self.ids:
            detail = f"has the {name}, as another sample of the shard has"
            found.note(Reason.DUPLICATE_ID, Example(sample.shard, sample.key, detail))
        self.ids.update([name] if name else [])
        try:
            mends, read = self._read(sample, notes)
        except BadSample as bad:
            found.note(bad.reason, Example(sample.shard, sample.key, bad.detail))
            return
        found.mended.update(mend.value for mend in mends)
        found.fields.update(read)
        found.good += 1

    def _read(self, sample: Sample, notes: Mapping[str, object]) -> tuple[set[Mend], Sequence[str]]:
        """Give what is mended, and which fields of tasks were read."""
        found = sides(sample) if self.fields.two_pictures else pictures(sample)
        told = self.fields
        asked = told.two_pictures or told.answers or told.label
        texts = [task_text(sample)] if asked else captions(sample)
        shapes = [decode(picture, self.max_pixels).shape for picture in found]
        mends = {mend for picture in found for mend in read_header(picture).mends}
        read = check_fields(notes, (shapes[0][1], shapes[0][0]), self.fields)
        return mends | self._text_mends(texts), read

    def _text_mends(self, texts: Sequence[str]) -> set[Mend]:
        mends = set()
        for caption in texts:
            if self._is_cut(caption):
                mends.add(Mend.CUT_CAPTION)
            if not all(is_shown(letter) for letter in caption.strip()):
                mends.add(Mend.CONTROL_CHARACTERS)
        return mends

    def _is_cut(self, caption: str) -> bool:
        """Say whether training leaves out words of a caption, or pieces of words.

        Raises:
            BadSample: if nothing of it is left.
        """
        kept, options = self.text.normalise(caption), self.text.options
        read = len(self.text.encode(kept).ids)
        if self.text.normalise(caption, options.max_words + 1) != kept:
            return True
        return read == options.max_tokens and len(self.whole.encode(kept).ids) > read
