"""What data of classes share: labels, names of samples, their batches.

B samples of this rank, L tokens of the longest text.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from data_modules.batches import Maker
from data_modules.contents import encoded, meta, task_text
from data_modules.identifiers import identifier_of
from data_modules.pictured import Reader
from data_modules.reasons import BadSample, Reason
from data_modules.seeds import hash63
from data_modules.shards import Sample
from data_modules.sheet import Sheet
from data_modules.text import Ids
from softmask.batch import IGNORE, LabelledBatch

UNKNOWN = (None, "", "-")
"""Labels that say nothing; SNLI writes "-" where its annotators disagree."""


class LabelledItem(NamedTuple):
    """One sample with a class."""

    image: Sheet
    input_ids: Ids  # L
    label: int
    position: int
    key: str
    identifier: str
    identity: int


class MakeLabelled(Maker):
    """Samples of one picture to a LabelledBatch.

    Args:
        reader: of pictures and texts.
        classes: names, in the order of their numbers.
        required: whether a sample without a known label is bad, as in training.
    """

    def __init__(self, reader: Reader, classes: Sequence[str], *, required: bool) -> None:
        self.reader, self.required = reader, required
        self.classes = numbered(classes)

    def item(self, sample: Sample, epoch: int) -> LabelledItem:
        """Make one sample, or raise BadSample."""
        return self.labelled(sample, self.reader.picture(encoded(sample), sample, epoch))

    def batch(self, items: Sequence[LabelledItem], epoch: int) -> LabelledBatch:  # noqa: ARG002
        """Stack samples."""
        input_ids, mask = self.reader.pad([item.input_ids for item in items])
        return {
            "image": self.reader.images([item.image for item in items]),
            "input_ids": input_ids,
            "attention_mask": mask,
            "label": torch.tensor([item.label for item in items]),
            "position": torch.tensor([item.position for item in items]),
            "key": [item.key for item in items],
            "identifier": [item.identifier for item in items],
            "identity": torch.tensor([item.identity for item in items]),
        }

    def labelled(self, sample: Sample, picture: Sheet) -> LabelledItem:
        """Make what a sample holds beside its pictures.

        Args:
            sample: as stored.
            picture: its only one, or the left one.

        Raises:
            BadSample: if its text or its label cannot be used.
        """
        notes = meta(sample)
        identifier = identifier_of(notes)
        return LabelledItem(
            picture,
            self.reader.tokens(task_text(sample)),
            label_of(notes, self.classes, required=self.required),
            sample.position,
            sample.key,
            sample.key if identifier is None else identifier,
            # Hashes are not negative: samples without a name never look alike.
            ~sample.position if identifier is None else hash63(identifier),
        )


def numbered(classes: Sequence[str]) -> dict[str, int]:
    """Give the numbers of classes by their names in lower case."""
    return {name.lower(): number for number, name in enumerate(classes)}


def label_of(notes: Mapping[str, object], classes: Mapping[str, int], *, required: bool) -> int:
    """Number a sample's label; IGNORE where it says none.

    Args:
        notes: the json.
        classes: as `numbered` gives them.
        required: whether there must be one.

    Raises:
        BadSample: if it is none of the classes, or not there though it must be.
    """
    found = notes.get("label")
    names = ", ".join(classes)
    if found in UNKNOWN:
        if required:
            raise BadSample(Reason.BAD_LABEL, f"has no label: give one of {names}")
        return IGNORE
    # NLVR2's are texts in its own files and truth values in others.
    known = isinstance(found, str | bool) and classes.get(str(found).lower())
    if known is None or known is False:
        raise BadSample(Reason.BAD_LABEL, f"has the label {found!r}, which is none of {names}")
    return known
