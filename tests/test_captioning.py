"""Scores of captions against their definitions."""

import math
from collections import Counter

import pytest

from softmask.captioning import caption_scores, caption_words

SAID = ["A red square, on the left.", "the the the cat", "a dog runs in the green park today"]
THEIRS = [
    ["a red square on the left of it", "red square at the left"],
    ["the cat is on the mat", "there is a cat"],
    ["a dog runs in the park", "the dog runs in a green park today"],
]


def grams(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def plain_bleu(said, theirs, n):
    """Papineni et al., 2002: clipped precisions of the corpus, and its brevity penalty."""
    logs, length, reference = [], 0, 0
    for size in range(1, n + 1):
        right = total = 0
        for one, others in zip(said, theirs, strict=True):
            own = grams(one.split(), size)
            most = Counter()
            for other in others:
                most |= grams(other.split(), size)
            right += sum((own & most).values())
            total += sum(own.values())
        logs.append(math.log(right / total))
    for one, others in zip(said, theirs, strict=True):
        own = len(one.split())
        length += own
        reference += min((len(o.split()) for o in others), key=lambda size: abs(size - own))
    penalty = 1.0 if length > reference else math.exp(1 - reference / length)
    return penalty * math.exp(sum(logs) / n)


def test_bleu_is_papinenis():
    said = [caption_words(text) for text in SAID]
    scores = caption_scores(SAID, THEIRS)
    for n in (1, 4):
        assert abs(scores[f"bleu{n}"] - plain_bleu(said, THEIRS, n)) < 1e-6
    assert scores["bleu4"] < scores["bleu1"] < 1


def test_words_are_compared_without_case_and_punctuation():
    assert caption_words("  A man's  hat -- RED, no. 2!") == "a man's hat red no 2"
    assert caption_scores(["A b, c D."], [["a b c d", "x"]])["bleu4"] == pytest.approx(1)


def test_cider_is_vedantams():
    scores = caption_scores(SAID, THEIRS)
    assert abs(scores["cider"] - plain_cider([caption_words(s) for s in SAID], THEIRS)) < 1e-6


def plain_cider(said, theirs):
    """CIDEr-D (Vedantam et al., 2015): clipped tf-idf cosines of 1 to 4 words, times 10."""
    frequency = Counter()
    for others in theirs:
        frequency.update(
            {gram for n in range(1, 5) for other in others for gram in grams(other.split(), n)}
        )
    pictures = math.log(len(theirs))

    def vector(text, n):
        counts = grams(text.split(), n)
        return {g: c * (pictures - math.log(max(1, frequency[g]))) for g, c in counts.items()}

    def length(values):
        return math.sqrt(sum(value**2 for value in values.values()))

    total = 0.0
    for one, others in zip(said, theirs, strict=True):
        for n in range(1, 5):
            for other in others:
                a, b = vector(one, n), vector(other, n)
                if length(a) and length(b):
                    # The gaps are of pairs of words in the official code.
                    gap = len(one.split()) - len(other.split())
                    dot = sum(min(v, b.get(g, 0.0)) * b.get(g, 0.0) for g, v in a.items())
                    cosine = dot / (length(a) * length(b))
                    total += cosine * math.exp(-(gap**2) / 72) / len(others) / 4
    return 10 * total / len(said)
