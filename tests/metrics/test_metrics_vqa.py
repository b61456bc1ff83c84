"""VQA's accuracy against the official definition, spelled out as the challenge states it."""

import random
import re

import pytest

from softmask.answers import Asked, answer_scores
from softmask.metrics import agreement, comparable, normalise_answer, vqa_accuracy
from softmask.tables import question_table

MARKS = [";", "/", "[", "]", '"', "{", "}", "(", ")", "=", "+", "\\", "_", "-", ">", "<", "@"]
MARKS += ["`", ",", "?", "!"]
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
DIGITS = {"none": "0"} | {name: str(number) for number, name in enumerate(NAMES)}
WORDS = [*DIGITS, "a", "an", "the", "dont", "Dont", "wouldn'tve", "couldnt've", "yall'll", "red"]
WORDS += ["somebody'd", "oclock", "twas", "3.5", "1,000", "2.", "U.S.", "t-shirt", "it's", "RED"]
WORDS += ["no", "yes", "left/right", "what?", "-", "é", "eleven", "theirs", "o'clock"]
APOSTROPHES = {
    "dont": "don't",
    "wouldn'tve": "wouldn't've",
    "couldnt've": "couldn't've",
    "yall'll": "y'all'll",
    "somebody'd": "somebodyd",
    "oclock": "o'clock",
    "twas": "'twas",
}


def official(text):
    text = text.replace("\n", " ").replace("\t", " ").strip()
    out = text
    for mark in MARKS:
        spaced = mark + " " in text or " " + mark in text
        if spaced or re.search(r"(\d)(\,)(\d)", text) is not None:
            out = out.replace(mark, "")
        else:
            out = out.replace(mark, " ")
    out = "".join(
        letter
        for place, letter in enumerate(out)
        if letter != "." or re.match(r"\d", out[place + 1 : place + 2])
    )
    words = [DIGITS.get(word, word) for word in out.lower().split()]
    words = [word for word in words if word not in ("a", "an", "the")]
    return " ".join(APOSTROPHES.get(word, word) for word in words)


def official_accuracy(answer, answers):
    strip = [text.replace("\n", " ").replace("\t", " ").strip() for text in answers]
    answer = answer.replace("\n", " ").replace("\t", " ").strip()
    if len(set(strip)) > 1:
        strip, answer = [official(text) for text in strip], official(answer)
    each = []
    for left_out in range(len(strip)):
        others = strip[:left_out] + strip[left_out + 1 :]
        each.append(min(1, sum(other == answer for other in others) / 3))
    return sum(each) / len(each)


def phrase(order):
    words = [order.choice(WORDS) for _ in range(order.randint(1, 4))]
    return order.choice(["", " ", "\n"]) + order.choice([" ", ", ", "  ", "-"]).join(words)


@pytest.mark.parametrize("seed", range(4))
def test_normalising_is_the_official_one(seed):
    order = random.Random(seed)
    texts = [phrase(order) for _ in range(300)]
    assert [normalise_answer(text) for text in texts] == [official(text) for text in texts]
    assert sum(normalise_answer(text) != text for text in texts) > 200


@pytest.mark.parametrize("seed", range(4))
def test_accuracy_of_ten_people_is_the_official_one(seed):
    order, found = random.Random(seed), set()
    for _ in range(200):
        choices = [phrase(order) for _ in range(order.randint(1, 4))]
        answers = [order.choice(choices) for _ in range(10)]
        answer = order.choice([*choices, phrase(order), normalise_answer(choices[0])])
        accuracy = vqa_accuracy(answer, answers)
        assert accuracy == pytest.approx(official_accuracy(answer, answers), abs=1e-12)
        found.add(round(accuracy, 2))
    assert found >= {0.0, 0.3, 0.6, 0.9, 1.0}


def official_evaluation(said, annotations):
    """Overall, per question type and per answer type, as the official script goes through them."""
    all_of_them, by_question, by_answer = [], {}, {}
    for answer, annotation in zip(said, annotations, strict=True):
        accuracy = official_accuracy(answer, annotation["answers"])
        all_of_them.append(accuracy)
        by_question.setdefault(annotation["question_type"], []).append(accuracy)
        by_answer.setdefault(annotation["answer_type"], []).append(accuracy)
    return (
        sum(all_of_them) / len(all_of_them),
        {name: sum(found) / len(found) for name, found in by_question.items()},
        {name: sum(found) / len(found) for name, found in by_answer.items()},
    )


@pytest.mark.parametrize("seed", range(3))
def test_types_of_questions_and_answers_are_scored_as_officially(seed):
    order = random.Random(seed)
    choices = {"yes/no": ["yes", "no"], "number": ["1", "2", "3"], "other": ["red", "a cat"]}
    annotations, said = [], []
    for _ in range(60):
        kind = order.choice([*choices])
        answers = [order.choice([*choices[kind], "x"]) for _ in range(10)]
        asked = order.choice(["what is", "is the", "how many"])
        annotations.append({"answers": answers, "question_type": asked, "answer_type": kind})
        said.append(order.choice(choices[kind]))
    columns = ("answers", "question_type", "answer_type")
    rows = [Asked(s, *(a[c] for c in columns)) for s, a in zip(said, annotations, strict=True)]
    # Test questions have no answers and no types.
    found = answer_scores([*rows, Asked("x", [], "", ""), Asked("x", [], "what is", "other")])
    overall, by_question, by_answer = official_evaluation(said, annotations)
    assert found["accuracy"] == pytest.approx(overall)
    assert found["by_type"] == pytest.approx(by_question)
    assert found["by_answer_type"] == pytest.approx(by_answer)
    assert set(by_answer) == {"yes/no", "number", "other"}
    assert len({*by_answer.values(), *by_question.values()}) == 6


def test_types_that_nobody_names_are_not_reported():
    found = answer_scores([Asked("red", ["red"], "", ""), Asked("red", ["blue"], "", "other")])
    assert found["accuracy"] == 0.5
    assert "by_type" not in found
    assert found["by_answer_type"] == {"other": 0}


def test_periods_are_dropped_up_to_the_official_number():
    assert normalise_answer("a" + "." * 40) == "a" + "." * 8


@pytest.mark.parametrize(
    ("same", "expected"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)]
)
def test_agreement_of_ten(same, expected):
    assert agreement(same, 10) == pytest.approx(expected)


@pytest.mark.parametrize("people", range(4, 10))
def test_four_to_nine_people_are_scored_as_ten_are(people):
    for same in range(people + 1):
        answers = ["red"] * same + [f"blue {n}" for n in range(people - same)]
        expected = official_accuracy("red", answers)
        assert vqa_accuracy("Red", answers) == pytest.approx(expected, abs=1e-12)


def test_two_and_three_people_can_agree_wholly():
    assert vqa_accuracy("two", ["the two.", "2"]) == 1
    assert vqa_accuracy("two", ["two", "three"]) == 0.5
    assert vqa_accuracy("four", ["two", "three"]) == 0
    assert [agreement(same, 3) for same in range(4)] == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_one_person_is_an_exact_match():
    assert vqa_accuracy("Two cats", ["2 cats"]) == 1
    assert vqa_accuracy("cat", ["cats"]) == 0


def test_ten_who_agree_are_compared_as_they_are():
    assert vqa_accuracy("2", ["two"] * 10) == 0  # as the official code has it
    assert vqa_accuracy(" two\n", ["two"] * 10) == 1
    assert vqa_accuracy("2", ["two"] * 9 + ["Two"]) == 1
    assert comparable(["two"] * 10) == ["two"] * 10
    assert comparable(["two"] * 9) == ["2"] * 9


@pytest.mark.parametrize(("short", "whole"), [("werent", "weren't"), ("shed've", "she'd've")])
def test_contractions_get_their_apostrophe(short, whole):
    assert normalise_answer(short) == whole
    assert normalise_answer(whole) == whole


@pytest.mark.parametrize("word", ["its", "shell", "well", "wed", "id", "ill", "shed"])
def test_words_of_their_own_stay(word):
    assert normalise_answer(word) == word


def test_a_table_shows_types_of_questions_and_of_answers_that_share_a_name():
    types = {"by_type": {"number": 0.25}, "by_answer_type": {"number": 0.5}}
    shown = question_table({"questions": 4, "without_answers": 0, "accuracy": 0.5, **types}, "A")
    values = [line.split()[-2:] for line in shown.splitlines() if line.startswith("  number")]
    assert values == [["50.00", "%"], ["25.00", "%"]]
