"""VQA's accuracy (Antol et al., VQA, ICCV 2015, and visualqa.org/evaluation)."""

from collections.abc import Sequence

from softmask.metrics.answers import normalise_answer, strip_answer

PEOPLE = 10
"""Official questions were put to so many."""


def comparable(answers: Sequence[str]) -> list[str]:
    """People's answers to one question as they are compared.

    Normalised; but where ten or more people all gave the same text, that text as it is: the
    official code normalises neither side then.
    """
    texts = [strip_answer(answer) for answer in answers]
    if _is_unanimous(texts):
        return texts
    return [normalise_answer(text) for text in texts]


def vqa_accuracy(answer: str, answers: Sequence[str]) -> float:
    """How far an answer agrees with those of people, 0 to 1.

    The mean over people, each left out in turn, of min(n / 3, 1) for n of the others who said the
    same. That is the official rule, made for ten people; so that the best answer can reach 1 with
    two or three people too, the rule asks all the others instead of three. With one person this is
    an exact match after normalising.

    Args:
        answer: what the model says.
        answers: what people said, one at least.
    """
    return agreement(agreeing(answer, answers), len(answers))


def agreeing(answer: str, answers: Sequence[str]) -> int:
    """How many people gave an answer, both compared as in `comparable`."""
    texts = [strip_answer(text) for text in answers]
    own = strip_answer(answer) if _is_unanimous(texts) else normalise_answer(answer)
    return comparable(texts).count(own)


def agreement(same: int, people: int) -> float:
    """`vqa_accuracy` of an answer that `same` of `people`, one at least, gave."""
    if people == 1:
        return float(same)
    wanted = min(3, people - 1)
    # Of those who are left out, `same` are among the ones who agree.
    left_in, left_out = min(same / wanted, 1.0), min((same - 1) / wanted, 1.0)
    return ((people - same) * left_in + same * left_out) / people


def _is_unanimous(texts: Sequence[str]) -> bool:
    return len(texts) >= PEOPLE and len(set(texts)) == 1
