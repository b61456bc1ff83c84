"""Lists of answers, and answers scored."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from softmask.captions import normalise
from softmask.errors import InputError
from softmask.metrics import agreeing, agreement, comparable


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


class Asked(NamedTuple):
    """A question that was answered."""

    said: str  # by the model
    theirs: list[str]  # by people; nothing if it is not known
    type: str  # of the question; "" if it has none
    answer_type: str  # of its answers: VQA's yes/no, number and other; "" if it has none


def answer_scores(questions: Sequence[Asked]) -> dict[str, Any]:
    """Scores of an evaluation.

    Returns:
        `questions` and, of them, `without_answers`; unless that is all of them, `accuracy`,
        `majority_answer`, what people said most often, `majority`, the accuracy of giving it to
        every question, and the accuracies `by_type` of question and `by_answer_type`, as the
        official evaluation gives them, if there are any.
    """
    known = [question for question in questions if question.theirs]
    counts = {"questions": len(questions), "without_answers": len(questions) - len(known)}
    if not known:
        return counts
    accuracy = [agreement(agreeing(one.said, one.theirs), len(one.theirs)) for one in known]
    types = {
        "by_type": _by([one.type for one in known], accuracy),
        "by_answer_type": _by([one.answer_type for one in known], accuracy),
    }
    people = [comparable(question.theirs) for question in known]
    heard = Counter(answer for answers in people for answer in answers)
    most = min(heard, key=lambda answer: (-heard[answer], answer))  # the same on every rank
    scores = {
        "accuracy": _mean(accuracy),
        "majority": _mean([agreement(answers.count(most), len(answers)) for answers in people]),
        "majority_answer": most,
    }
    return counts | scores | {name: shares for name, shares in types.items() if shares}


def _by(names: Sequence[str], accuracy: Sequence[float]) -> dict[str, float]:
    """Mean accuracies by name; what has none is left out."""
    values = defaultdict(list)
    for name, value in zip(names, accuracy, strict=True):
        values[name].append(value)
    return {name: _mean(own) for name, own in sorted(values.items()) if name}


def _is_answer(text: object) -> bool:
    return isinstance(text, str) and bool(normalise(text, 1))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
