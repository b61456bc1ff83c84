"""What a part of a data set holds, counted so that parts can be added."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from data_modules.contents import captions, pictures
from data_modules.headers import read_header
from data_modules.reasons import BadSample
from data_modules.shards import Sample, ShardSet
from data_modules.text import normalise
from softmask.tokenizer import load_tokenizer

WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
ALL_WORDS = 1_000_000  # no caption is cut here


@dataclass
class Tally:
    """Counts by value; two tallies add up."""

    captions_per_picture: Counter[int] = field(default_factory=Counter)
    words: Counter[int] = field(default_factory=Counter)  # of a caption
    tokens: Counter[int] = field(default_factory=Counter)  # of a caption, [CLS] not counted
    width: Counter[int] = field(default_factory=Counter)
    height: Counter[int] = field(default_factory=Counter)
    short_side: Counter[int] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    vocabulary: Counter[str] = field(default_factory=Counter)  # uses of each word
    unknown: Counter[str] = field(default_factory=Counter)  # words that hold an [UNK]
    pieces: Counter[int] = field(default_factory=Counter)  # uses of each token
    bytes: Counter[str] = field(default_factory=Counter)  # by column
    faults: Counter[str] = field(default_factory=Counter)  # by reason

    def add(self, other: "Tally") -> None:
        """Add another part's counts."""
        for each in fields(self):
            getattr(self, each.name).update(getattr(other, each.name))

    def as_json(self) -> dict[str, Any]:
        """Give the counts as what JSON can hold, whose keys are texts alone."""
        return {each.name: list(getattr(self, each.name).items()) for each in fields(self)}

    @classmethod
    def of_json(cls, said: dict[str, Any]) -> "Tally":
        """The inverse of `as_json`."""
        return cls(**{name: Counter(dict(pairs)) for name, pairs in said.items()})


class TallyJob(NamedTuple):
    """Samples to count: what a worker process is handed."""

    name: str
    shards: ShardSet
    positions: Sequence[int]
    tokenizer: str


def tally_job(job: TallyJob) -> tuple[str, Tally]:
    """Count some samples.

    Args:
        job: which.

    Returns:
        The job's name, and the counts.

    Raises:
        InputError: if a shard is broken.
    """
    tally = Tally()
    texts: list[str] = []
    for position in job.positions:
        sample = job.shards.read(position)
        tally.bytes.update({name: len(data) for name, data in sample.columns.items()})
        _look(sample, tally)
        try:
            found = [normalise(text, ALL_WORDS) for text in captions(sample)]
        except BadSample as bad:
            tally.faults[bad.reason.value] += 1
            found = []
        tally.captions_per_picture[len(found)] += 1
        texts += found
    _read(texts, tally, job.tokenizer)
    return job.name, tally


def _look(sample: Sample, tally: Tally) -> None:
    try:
        headers = [read_header(picture) for picture in pictures(sample)]
    except BadSample as bad:
        tally.faults[bad.reason.value] += 1
        return
    for header in headers:
        tally.formats[header.kind] += 1
        tally.width[header.width] += 1
        tally.height[header.height] += 1
        tally.short_side[min(header.width, header.height)] += 1


def _read(texts: Sequence[str], tally: Tally, name: str) -> None:
    if not texts:
        return
    tokenizer = load_tokenizer(name)
    encoded = tokenizer(list(texts), add_special_tokens=False, verbose=False)
    for text, pieces in zip(texts, encoded["input_ids"], strict=True):
        words = WORD.findall(text.lower())
        tally.words[len(text.split())] += 1
        tally.tokens[len(pieces)] += 1
        tally.vocabulary.update(words)
        tally.pieces.update(pieces)
        if tokenizer.unk_token_id in pieces:
            parts = text.split()
            ids = tokenizer(parts, add_special_tokens=False, verbose=False)["input_ids"]
            tally.unknown.update(
                part for part, own in zip(parts, ids, strict=True) if tokenizer.unk_token_id in own
            )
