"""What tasks read of a sample's json beside its texts: whose task it is tells the whole shard.

Each rule is the data module's own, which refuses the sample in a run.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from data_modules.answered import answer_weights, question_number
from data_modules.boxes import marked
from data_modules.contents import is_of_two
from data_modules.labelled import UNKNOWN, label_of, numbered
from softmask.batch import ENTAILMENT, IGNORE, TRUTH

OWN_WORDS = {"contradiction", "entailment"}
"""Of SNLI-VE's classes; "neutral" is a class of faces as well."""


class Fields(NamedTuple):
    """What every sample of a shard should have, since half of them have it."""

    two_pictures: bool = False
    answers: bool = False
    label: bool = False
    classes: tuple[str, ...] = ()  # of labels; none where only a run knows them


def fields_of(shard: Iterable[tuple[Collection[str], Mapping[str, object]]]) -> Fields:
    """Find out what the samples of a shard should have.

    Args:
        shard: of each sample its columns and its json.
    """
    count = two = answered = 0
    labels: list[str] = []
    for columns, notes in shard:
        count += 1
        two += is_of_two(columns)
        answered += "answers" in notes
        label = notes.get("label")
        labels += [] if label in UNKNOWN else [str(label).lower()]
    entailed = sum(label in ENTAILMENT for label in labels)
    classes: tuple[str, ...] = ()
    two_pictures = two > 0 and 2 * two >= count
    if two_pictures:
        classes = TRUTH
    elif 2 * entailed >= len(labels) and OWN_WORDS.intersection(labels):
        classes = ENTAILMENT
    return Fields(
        two_pictures=two_pictures,
        answers=answered > 0 and 2 * answered >= count,
        label=bool(classes and labels) and 2 * len(labels) >= count,
        classes=classes,
    )


def check_fields(
    notes: Mapping[str, object], size: tuple[int, int], fields: Fields
) -> tuple[str, ...]:
    """Read what training would, and boxes as evaluation would.

    Args:
        notes: the json of a sample.
        size: width and height of its picture, or its left one.
        fields: of its shard.

    Returns:
        What there was to read.

    Raises:
        BadSample: as the data module would.
    """
    read = []
    if "question_id" in notes:
        question_number(notes, 0)
        read.append("question_id")
    if fields.answers or "answers" in notes:
        answer_weights(notes)
        read.append("answers")
    if fields.classes:
        label = label_of(notes, numbered(fields.classes), required=fields.label)
        read += [] if label == IGNORE else ["label"]
    if notes.keys() & {"box", "detections"}:
        said = marked(notes, size)
        read += [] if np.isnan(said.box).any() else ["box"]
        read += ["detections"] if len(said.detections) else []
    return tuple(read)
