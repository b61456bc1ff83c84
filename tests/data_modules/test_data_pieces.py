import numpy as np
import pytest
from tokenizers.normalizers import Lowercase

from data_modules import pieces
from data_modules.pieces import WordPieces
from data_modules.text import normalise
from softmask.tokenizer import load_tokenizer

CAPTIONS = (
    "a dog's (two-legged) friend, isn't it?",
    "Zürich: l'œuvre d`un Unaffable xylophonist 1,234.50",
    "猫 sat 在 the mat [MASK]ed foo[SEP]bar",
    "the … of 👍🏽 supercalifragilisticexpialidocious",
    "x" * 150 + " is one word",
)


@pytest.mark.parametrize("caption", CAPTIONS)
def test_pieces_of_words_are_pieces_of_the_caption(caption):
    tokenizer = load_tokenizer()
    cut = WordPieces(tokenizer)
    text = normalise(caption, 30)
    expected = tokenizer(text, add_special_tokens=False)["input_ids"]
    for room in (1, 5, 100):
        for _ in range(2):  # learnt, then known
            assert cut.ids(text, room) == expected[:room]
            assert len(cut.content(text, room)) == len(expected[:room])


def test_words_of_drawn_letters():
    rng = np.random.default_rng(0)
    tokenizer = load_tokenizer()
    cut = WordPieces(tokenizer)
    letters = list("abe'-.,é中#[]09 ")
    for _ in range(300):
        text = normalise("".join(rng.choice(letters, 40)), 30)
        if text:
            expected = tokenizer(text, add_special_tokens=False)["input_ids"]
            assert cut.ids(text, 99) == expected


def test_memory_has_an_end(monkeypatch):
    monkeypatch.setattr(pieces, "MOST_WORDS", 3)
    cut = WordPieces(load_tokenizer())
    first = cut.ids("a b c d e", 9), cut.content("a b c d e", 9)
    assert len(cut._ids) <= 3
    assert len(cut._contents) <= 3
    assert (cut.ids("a b c d e", 9), cut.content("a b c d e", 9)) == first


def test_other_tokenizers_see_whole_captions():
    tokenizer = load_tokenizer()
    tokenizer.backend_tokenizer.normalizer = Lowercase()
    cut = WordPieces(tokenizer)
    assert cut.ids("A dog's day", 3) == cut.ids("a dog's day", 9)[:3]
    assert cut.content("the dog", 9) == [False, True]
    assert not cut._ids
