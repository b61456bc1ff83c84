"""Answers made comparable, as the VQA challenge defines it (visualqa.org/evaluation).

Lower case, numbers as digits, no articles, contractions with their apostrophe, no punctuation.
"""

import re

PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
ARTICLES = ("a", "an", "the")

# Words whose apostrophe people leave out.
SINGLE = """
    ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd
    how'll how's isn't it'd it'll ma'am mightn't might've mustn't must've needn't not've o'clock
    oughtn't shan't should've shouldn't somebody'll somebody's someone'd someone'll someone's
    something'd something'll that's there'd there're there's they'd they'll they're they've 'twas
    wasn't we've weren't what'll what're what's what've when's where'd where's where've who'd who'll
    who's who've why'll why're why's won't would've wouldn't y'all you'd you'll you're you've
"""
# Words with two, of which people leave out either.
DOUBLE = """
    couldn't've hadn't've he'd've it'd've mightn't've she'd've shouldn't've somebody'd've
    someone'd've something'd've there'd've they'd've we'd've who'd've wouldn't've y'all'll you'd've
"""
# Words with more, and one that loses its own, as in the official table.
OTHERS = {
    "ow's'at": "'ow's'at",
    "'ows'at": "'ow's'at",
    "'ow'sat": "'ow's'at",
    "yall'd've": "y'all'd've",
    "y'alld've": "y'all'd've",
    "y'all'dve": "y'all'd've",
    "somebody'd": "somebodyd",
}

_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_MOST_PERIODS = 32  # the official code hands a flag, 32, where re.sub takes a count


def contractions() -> dict[str, str]:
    """Spellings that lack an apostrophe, by what they become."""
    table = {word.replace("'", ""): word for word in SINGLE.split()}
    for word in DOUBLE.split():
        first, second, third = word.split("'")
        table |= {f"{first}{second}'{third}": word, f"{first}'{second}{third}": word}
    return table | OTHERS


CONTRACTIONS = contractions()
DIGITS = {word: str(number) for number, word in enumerate(NUMBERS)} | {"none": "0"}


def strip_answer(answer: str) -> str:
    """The text without line breaks, tabs and outer spaces: what is compared at least."""
    return answer.replace("\n", " ").replace("\t", " ").strip()


def normalise_answer(answer: str) -> str:
    """Make answers that mean the same the same string, by the official rules; may leave nothing.

    The rules are kept to the letter: a mark goes without a trace if it stands beside a space
    anywhere in the answer, or the answer has a comma between digits; else it becomes a space.
    """
    text = strip_answer(answer)
    joined, plain = _COMMA_IN_NUMBER.search(text) is not None, text
    for mark in PUNCTUATION:
        beside = f"{mark} " in plain or f" {mark}" in plain
        text = text.replace(mark, "" if joined or beside else " ")
    text = _PERIOD.sub("", text, count=_MOST_PERIODS)
    words = [DIGITS.get(word, word) for word in text.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)
