"""Lists of answers, and answers scored: as rows of tensors, so that ranks can exchange them.

B questions, P people whose answers are kept of each.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softmask.batch import IGNORE
from softmask.errors import InputError
from softmask.metrics import PEOPLE, agreeing, agreement, comparable

TYPE_BYTES = 64
"""Of a question type's name; the official ones have up to 30 letters."""


def read_answers(path: str | Path) -> list[str]:
    """Read a list of answers to choose from.

    Args:
        path: of a JSON file.

    Raises:
        InputError: it is no list of different texts.
    """
    advice = "Give a JSON list of texts, as `softmask data answers` writes it."
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"The answers {str(path)!r} cannot be read ({error}). {advice}") from error
    if not isinstance(found, list) or not found or not all(map(_is_answer, found)):
        raise InputError(f"The answers {str(path)!r} are no list of texts. {advice}")
    answer, count = Counter(found).most_common(1)[0]
    if count > 1:
        raise InputError(f"The answers {str(path)!r} hold {answer!r} {count} times. {advice}")
    return found


def answer_columns(
    said: Sequence[str], theirs: Sequence[Sequence[str]], types: Sequence[str]
) -> dict[str, Tensor]:
    """What of a batch the scores need.

    Args:
        said: the model's answers to B questions.
        theirs: people's answers to each, none where they are not known.
        types: of the questions, "" where they have none.

    Returns:
        `same` (B,), how many people said what the model says; `people` (B,), how many were asked;
        `theirs` (B, P), numbers of what they said; `type` (B, bytes).
    """
    same = [agreeing(own, others) for own, others in zip(said, theirs, strict=True)]
    return {
        "same": torch.tensor(same),
        "people": torch.tensor([len(answers) for answers in theirs]),
        "theirs": torch.tensor([_numbers(answers) for answers in theirs]),
        "type": torch.tensor([_letters(name) for name in types], dtype=torch.uint8),
    }


def answer_scores(rows: Mapping[str, Tensor]) -> dict[str, Any]:
    """Scores of an evaluation from the columns of all its questions.

    Returns:
        `questions` and, of them, `without_answers`; unless that is all of them, `accuracy`,
        `majority`, the accuracy of giving each question what people say most often, and `by_type`,
        the accuracies by question type if there are any.
    """
    people = rows["people"].tolist()
    scores: dict[str, Any] = {"questions": len(people), "without_answers": people.count(0)}
    if not any(people):
        return scores
    known = [row for row, asked in enumerate(people) if asked]
    same = rows["same"].tolist()
    accuracy = {row: agreement(same[row], people[row]) for row in known}
    types = defaultdict(list)
    for row, letters in enumerate(rows["type"].tolist()):
        if row in accuracy:
            types[bytes(letters).rstrip(b"\0").decode(errors="ignore")].append(accuracy[row])
    by_type = {name: _mean(values) for name, values in sorted(types.items()) if name}
    theirs, counts = torch.unique(rows["theirs"][known], return_counts=True)
    most = theirs[counts.masked_fill(theirs == IGNORE, 0).argmax()]
    agreed = (rows["theirs"] == most).sum(dim=1).tolist()
    scores["accuracy"] = _mean([*accuracy.values()])
    scores["majority"] = _mean([agreement(agreed[row], people[row]) for row in known])
    return scores | ({"by_type": by_type} if by_type else {})


def _is_answer(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _numbers(answers: Sequence[str]) -> list[int]:
    """Equal numbers for equal answers, in every process; as many of each question."""
    numbers = [
        int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
        for text in comparable(answers)[:PEOPLE]
    ]
    return numbers + [IGNORE] * (PEOPLE - len(numbers))


def _letters(name: str) -> list[int]:
    cut = name.encode()[:TYPE_BYTES]
    return [*cut, *bytes(TYPE_BYTES - len(cut))]
