import json
import random
import re
import warnings
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from data_modules.reasons import BadSample, Reason
from data_modules.text import Text, TextOptions, normalise
from softmask.captions import CaptionOptions, Captions
from softmask.errors import InputError
from softmask.tokenizer import load_tokenizer

CLS, SEP, PAD, MASK = 101, 102, 0, 103
CAPTION = "a small dog with the red ball, on grass"


def text(**options):
    return Text(TextOptions(**options))


def draws(made, caption=CAPTION, count=300):
    encoded = made.encode(caption)
    return encoded, [made.draw(encoded, random.Random(n)) for n in range(count)]


def test_shipped_tokenizer_is_berts():
    tokenizer = load_tokenizer()
    ids = tokenizer("A photo of a cat, unaffable", add_special_tokens=False).input_ids
    assert ids == [1037, 6302, 1997, 1037, 4937, 1010, 14477, 20961, 3468]
    assert len(tokenizer) == 30522
    special = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
    assert (*special, tokenizer.mask_token_id) == (CLS, SEP, PAD, MASK)


def test_tokenizer_from_a_folder(tmp_path):
    load_tokenizer().save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path))("a cat").input_ids == load_tokenizer()("a cat").input_ids


def test_a_slow_tokenizer_is_refused(tmp_path):
    names = [name for name, _ in sorted(load_tokenizer().vocab.items(), key=lambda item: item[1])]
    (tmp_path / "vocab.txt").write_text("\n".join(names))
    kind = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "basic"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(kind))
    with pytest.raises(InputError, match=r"\(BertJapaneseTokenizer\) is none of the fast ones"):
        load_tokenizer(str(tmp_path))


def test_unknown_tokenizer(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match=r"nothing-here.*bert-base-uncased"):
        load_tokenizer(str(tmp_path / "nothing-here"))


def test_normalise():
    assert normalise("  a\tcat\n on\x00 it ", 30) == "a cat on it"
    assert normalise("\ufb01ne \uff23at", 30) == "fine Cat"
    assert normalise("one two three", 2) == "one two"
    assert normalise(" \n", 30) == ""
    assert normalise("\ufeffa\u200b \u202ecat\u202c\ud800", 30) == "a cat"
    assert (
        normalise("a\u200db \U0001f468\u200d\U0001f469", 30)
        == "a\u200db \U0001f468\u200d\U0001f469"
    )


@pytest.mark.parametrize(
    ("punctuation", "expected"),
    [
        ("kept", "Isn't this - a <person>'s well-lit, (red) 1/2 cup? #1"),
        ("albef", "Isnt this a persons well lit red 1 2 cup 1"),
        ("lavis", "Isn't this - a <person>'s well-lit, red 1/2 cup? 1"),
        ("lavis_questions", "Isn't this - a <person>'s well-lit, red 1/2 cup? 1"),
    ],
)
def test_punctuation_goes_as_in_the_code_of_the_weights(punctuation, expected):
    said = "Isn't this - a <person>'s well-lit, (red) 1/2 cup? #1"
    assert normalise(said, 30, punctuation) == expected
    assert text(punctuation=punctuation).normalise(said) == expected
    read = Captions(load_tokenizer(), CaptionOptions(max_tokens=40, punctuation=punctuation))
    words = [word.text for word in read.words(said)]
    assert "".join(words) == expected.replace(" ", "")


@pytest.mark.parametrize("letters", ["US.! ?,'", '()*x #:;~"', "-/a.b"])
def test_lavis_makes_spaces_of_signs_in_captions_and_drops_them_in_questions(letters):
    rng = np.random.default_rng(0)
    for _ in range(50):
        said = "".join(rng.choice([*letters], 30))
        spaced = re.sub(r'[.!"()*#:;~]', " ", said)
        assert normalise(said, 99, "lavis") == " ".join(spaced.split())
        gone = re.sub(r'[.!"()*#:;~]', "", said)
        assert normalise(said, 99, "lavis_questions") == " ".join(gone.split())


def test_words_are_counted_after_punctuation_is_gone():
    assert normalise("a - b - c", 2, "albef") == "a b"
    assert text(max_words=3, punctuation="albef").normalise("a-b-c-d") == "a b c"


def is_cut(captions, text):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        captions.encode([text])
    return bool(said)


def test_texts_that_are_cut_are_told_by_words_and_by_tokens():
    few_words = Captions(load_tokenizer(), CaptionOptions(max_words=3, max_tokens=40))
    assert [is_cut(few_words, text) for text in ("a b c", "a b c d", " a  b c ")] == [0, 1, 0]
    assert is_cut(few_words, "\ufdfa")  # one letter, which stands for four words
    few_tokens = Captions(load_tokenizer(), CaptionOptions(max_tokens=4))
    assert [is_cut(few_tokens, text) for text in ("a b c", "a b c d", "unaffable")] == [0, 1, 0]


def test_a_long_text_is_tokenised_once():
    encode = Mock(side_effect=load_tokenizer().backend_tokenizer.encode)
    backend = SimpleNamespace(encode=encode)
    tokenizer = SimpleNamespace(backend_tokenizer=backend, cls_token_id=CLS, pad_token_id=PAD)
    with pytest.warns(UserWarning, match="1 of 2 texts"):
        read = Captions(tokenizer, CaptionOptions()).encode(["cat " * 27, "cat"])
    assert read.mask.sum(dim=1).tolist() == [25, 2]
    assert encode.call_count == 2


@pytest.mark.parametrize("letters", ["abc ,.-/!?'", 'x #:;~*()"', "\u00e4\u4e00.,\u3002 -"])
def test_albefs_punctuation_is_its_definition(letters):
    rng = np.random.default_rng(0)
    pieces = [*letters, "<person>", "<per.son>"]
    for _ in range(50):
        said = normalise("".join(rng.choice(pieces, 30)), 99)
        gone = "".join(letter for letter in said if letter not in ",.'!?\"()*#:;~")
        expected = gone.replace("-", " ").replace("/", " ").replace("<person>", "person")
        assert normalise(said, 99, "albef") == " ".join(expected.split())


def test_encode_has_no_sep_unless_wanted():
    assert text().encode("a cat").ids == [CLS, 1037, 4937]
    assert text(sep=True).encode("a cat").ids == [CLS, 1037, 4937, SEP]


@pytest.mark.parametrize("sep", [True, False])
def test_long_captions_are_cut_to_max_tokens(sep):
    encoded = text(max_tokens=6, sep=sep).encode("cat " * 20)
    assert encoded.ids == [CLS, *[4937] * (4 if sep else 5), *[SEP] * sep]


@pytest.mark.parametrize("caption", ["", " ", "[PAD]", "[SEP] [CLS]"])
def test_empty_caption(caption):
    with pytest.raises(BadSample) as bad:
        text().encode(caption)
    assert bad.value.reason == Reason.EMPTY_CAPTION


def test_berts_rule():
    made = text(mask_ratio=0.3, sep=True, max_tokens=40, max_words=40)
    encoded, drawn = draws(made, count=3000)
    total = chosen = masked = kept = 0
    for draw in drawn:
        assert set(draw.mlm_at) <= set(encoded.ordinary)
        assert draw.input_ids[0] == CLS
        assert draw.input_ids[-1] == SEP
        assert draw.mlm_labels == [encoded.ids[place] for place in draw.mlm_at]
        untouched = set(range(len(encoded.ids))) - set(draw.mlm_at)
        assert all(draw.input_ids[place] == encoded.ids[place] for place in untouched)
        read = [draw.input_ids[place] for place in draw.mlm_at]
        total += len(encoded.ordinary)
        chosen += len(read)
        masked += read.count(MASK)
        kept += sum(one == label for one, label in zip(read, draw.mlm_labels, strict=True))
    for found, count, share in [
        (chosen, total, 0.3),
        (masked, chosen, 0.8),
        (kept, chosen, 0.1),
        (chosen - masked - kept, chosen, 0.1),
    ]:
        assert abs(found - count * share) < 4.5 * np.sqrt(count * share * (1 - share))


def test_random_ids_come_from_the_whole_vocabulary():
    _, drawn = draws(text(mask_ratio=1.0), count=3000)
    changed = np.concatenate([np.array(draw.input_ids)[draw.mlm_at] for draw in drawn])
    labels = np.concatenate([draw.mlm_labels for draw in drawn])
    others = changed[(changed != MASK) & (changed != labels)]
    assert len(set(others)) > 0.9 * len(others)
    assert others.max() > 30000
    assert abs(np.mean(others) - 30522 / 2) < 1000


def test_ratio_of_0_and_1():
    encoded, drawn = draws(text(mask_ratio=0.0))
    assert all(len(draw.mlm_at) == 0 for draw in drawn)
    assert all(draw.input_ids == encoded.ids for draw in drawn)
    encoded, drawn = draws(text(mask_ratio=1.0))
    assert all(draw.mlm_at == encoded.ordinary for draw in drawn)


def test_shared_draw():
    encoded, drawn = draws(text(augment="shared", mask_ratio=0.5))
    assert all(draw.mlm_ids is None and draw.clean_ids is None for draw in drawn)
    assert any(draw.input_ids != encoded.ids for draw in drawn)


def test_no_augmentation_masks_for_mlm_alone():
    encoded, drawn = draws(text(augment="none", mask_ratio=0.5, teacher_clean=True))
    assert all(draw.input_ids == encoded.ids for draw in drawn)
    assert all(draw.clean_ids is None for draw in drawn)
    assert any(draw.mlm_ids != encoded.ids for draw in drawn)


def test_separate_draws_are_independent():
    made = text(augment="separate", mask_ratio=0.5, augment_ratio=0.2, teacher_clean=True)
    encoded, drawn = draws(made, count=2000)
    own = np.array([(np.array(draw.mlm_ids) == MASK)[1:] for draw in drawn])
    other = np.array([(np.array(draw.input_ids) == MASK)[1:] for draw in drawn])
    assert abs(own.mean() - 0.4) < 0.02
    assert abs(other.mean() - 0.16) < 0.02
    assert abs((own & other).mean() - own.mean() * other.mean()) < 0.01
    assert all(draw.clean_ids == encoded.ids for draw in drawn)


def test_any_word_is_any_ordinary_token():
    encoded, drawn = draws(text(sep=True, masks_per_pair=3, mask_ratio=0.5))
    words = np.array([draw.words for draw in drawn])
    assert words.shape == (300, 3)
    assert set(words.ravel()) == set(encoded.ordinary)
    assert any(len(set(row)) < 3 for row in words), "drawn with replacement"
    assert any(draw.input_ids[word] == MASK for draw in drawn for word in draw.words)


def test_content_words():
    made = text(soft_words="content", mask_ratio=0.3)
    encoded, drawn = draws(made)
    tokens = load_tokenizer().convert_ids_to_tokens(encoded.ids)
    content = {tokens[place] for place in encoded.content}
    assert content == {"small", "dog", "red", "ball", "grass"}
    for draw in drawn:
        all_masked = all(draw.input_ids[place] == MASK for place in encoded.content)
        assert all_masked or all(draw.input_ids[word] != MASK for word in draw.words)
        assert all_masked or set(draw.words) <= set(encoded.content)


def test_all_pieces_of_a_content_word_count():
    encoded = text(soft_words="content").encode("the unaffable cat's")
    assert encoded.content == [2, 3, 4, 5]


def test_content_falls_back_to_any():
    encoded, drawn = draws(text(soft_words="content", mask_ratio=0.0), "on the, of it")
    assert not encoded.content
    assert {int(draw.words[0]) for draw in drawn} == set(range(1, 6))
    _, drawn = draws(text(soft_words="content", mask_ratio=1.0), "dog")
    assert all(draw.words == [1] for draw in drawn)


def test_draws_depend_on_the_generator_alone():
    _, drawn = draws(text(), count=20)
    _, again = draws(text(), count=20)
    for a, b in zip(drawn, again, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert len({tuple(draw.input_ids) for draw in drawn}) > 5


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"mask_ratio": 1.5}, r"text\.mask_ratio is 1\.5"),
        ({"augment_ratio": -0.1}, r"text\.augment_ratio is -0\.1"),
        ({"max_words": 0}, r"text\.max_words is 0"),
        ({"max_tokens": 2}, r"text\.max_tokens is 2"),
        ({"masks_per_pair": 0}, r"text\.masks_per_pair is 0"),
    ],
)
def test_options_out_of_range(wrong, words):
    with pytest.raises(InputError, match=words):
        replace(TextOptions(), **wrong)
