"""Questions with answers as batches.

B questions of this rank, A answers of all of them, L question tokens, T answer tokens.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch

from data_modules.batches import Maker
from data_modules.contents import encoded, meta, task_text
from data_modules.pictured import Reader
from data_modules.reasons import BadSample, Reason
from data_modules.shards import Sample
from data_modules.sheet import Sheet
from data_modules.text import Ids, normalise
from softmask.batch import AnsweredBatch, QuestionBatch

VG_WEIGHT = 0.5
"""Of a Visual Genome answer, which one person gave (ALBEF's recipe)."""
MAX_WEIGHT = 1e6
"""Beyond it float32 loses all other losses; some whole numbers of JSON are no floats at all."""


class QuestionItem(NamedTuple):
    """One question."""

    image: Sheet
    input_ids: Ids  # L
    question: str
    question_id: int
    answers: list[str]
    question_type: str
    answer_type: str
    position: int
    key: str


class AnsweredItem(NamedTuple):
    """One question with answers to learn."""

    question: QuestionItem
    answer_ids: list[Ids]  # T each
    weights: list[float]


class MakeQuestions(Maker):
    """Samples to a QuestionBatch.

    Args:
        reader: of pictures and questions.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def item(self, sample: Sample, epoch: int) -> QuestionItem:
        """Make one question, or raise BadSample."""
        return self.question(sample, meta(sample), epoch)

    def batch(self, items: Sequence[QuestionItem], epoch: int) -> QuestionBatch:  # noqa: ARG002
        """Stack questions."""
        input_ids, mask = self.reader.pad([item.input_ids for item in items])
        return {
            "image": self.reader.images([item.image for item in items]),
            "input_ids": input_ids,
            "attention_mask": mask,
            "question": [item.question for item in items],
            "question_id": torch.tensor([item.question_id for item in items]),
            "answers": [item.answers for item in items],
            "question_type": [item.question_type for item in items],
            "answer_type": [item.answer_type for item in items],
            "position": torch.tensor([item.position for item in items]),
            "key": [item.key for item in items],
        }

    def question(self, sample: Sample, notes: Mapping[str, object], epoch: int) -> QuestionItem:
        """Make one question.

        Args:
            sample: as stored.
            notes: its json.
            epoch: of the augmentation's draw.

        Raises:
            BadSample: if its picture, its question or its notes cannot be used.
        """
        text = task_text(sample)
        number = question_number(notes, sample.position)
        return QuestionItem(
            self.reader.picture(encoded(sample), sample, epoch),
            self.reader.tokens(text),
            text,
            number,
            answers_of(notes),
            str(notes.get("question_type") or ""),
            str(notes.get("answer_type") or ""),
            sample.position,
            sample.key,
        )


class MakeAnswered(Maker):
    """Samples to an AnsweredBatch.

    Args:
        reader: of pictures and questions.
        answers: reader of answers, which end with [SEP].
    """

    def __init__(self, reader: Reader, answers: Reader) -> None:
        self.questions, self.answers = MakeQuestions(reader), answers

    def item(self, sample: Sample, epoch: int) -> AnsweredItem:
        """Make one question and its answers, or raise BadSample."""
        notes = meta(sample)
        weights = answer_weights(notes)
        question = self.questions.question(sample, notes, epoch)
        ids = [self.answers.tokens(answer) for answer in weights]
        return AnsweredItem(question, ids, list(weights.values()))

    def batch(self, items: Sequence[AnsweredItem], epoch: int) -> AnsweredBatch:
        """Stack questions and, below each other, their answers."""
        asked = self.questions.batch([item.question for item in items], epoch)
        answers = [ids for item in items for ids in item.answer_ids]
        input_ids, mask = self.answers.pad(answers)
        counts = torch.tensor([len(item.answer_ids) for item in items])
        fields = {
            **asked,
            "answer_ids": input_ids,
            "answer_mask": mask,
            "answer_weight": torch.tensor([w for item in items for w in item.weights]),
            "question_row": torch.arange(len(items)).repeat_interleave(counts),
        }
        return cast(AnsweredBatch, fields)  # a checker cannot add the keys of two typed dicts


def question_number(notes: Mapping[str, object], position: int) -> int:
    """Give a question's id; without one, its place in the data set.

    Raises:
        BadSample: if it is no whole number, or too large for a tensor.
    """
    number = notes.get("question_id", position)
    if not isinstance(number, int) or isinstance(number, bool) or abs(number) >= 2**63:
        detail = f"has the question_id {number!r:.80}, which is no whole number of 64 bits"
        raise BadSample(Reason.BAD_JSON, detail)
    return number


def answers_of(notes: Mapping[str, object]) -> list[str]:
    """Give what people answered, in their order; nothing if the sample does not say.

    Raises:
        BadSample: if it is no list of texts.
    """
    found = notes.get("answers", [])
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise BadSample(Reason.BAD_ANSWERS, "has answers that are no list of texts")
    return cast(list[str], found)


def answer_weights(notes: Mapping[str, Any]) -> dict[str, float]:
    """Give the different answers to learn, each with its weight.

    Raises:
        BadSample: if there is none, one is empty, or the weight is not above 0, up to MAX_WEIGHT.
    """
    answers = answers_of(notes)
    if not answers or not all(normalise(text, 1) for text in answers):
        what = "an empty answer" if answers else "no answers"
        raise BadSample(Reason.BAD_ANSWERS, f"has {what}")
    scale = notes.get("answer_weight", VG_WEIGHT if notes.get("dataset") == "vg" else 1.0)
    if not isinstance(scale, int | float) or not 0 < scale <= MAX_WEIGHT:
        detail = f"has the answer_weight {scale!r:.80}, no positive number up to {MAX_WEIGHT:g}"
        raise BadSample(Reason.BAD_ANSWERS, detail)
    return {text: scale * count / len(answers) for text, count in Counter(answers).items()}
