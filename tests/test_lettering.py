"""Letters that drawings can show, and words that stay on them."""

import numpy as np
import pytest
import torch

from softmask import lettering
from softmask.panels import Grounded, Row, grounding_panel, panel

SIZE = 15
GRAY = np.full((16, 16, 3), 128, np.uint8)
FLAT = torch.zeros(2, 2)


@pytest.fixture
def alone(monkeypatch):
    """A machine without fonts."""
    monkeypatch.setattr(lettering, "FONTS", ())
    lettering._systems.cache_clear()
    yield
    lettering._systems.cache_clear()


def test_english_takes_the_same_font_everywhere():
    found = lettering.lettering("a “red” hat…", SIZE)
    assert found.font is lettering.lettering("", SIZE).font
    assert found.of("a cat") == "a cat"


@pytest.mark.usefixtures("alone")
def test_letters_that_no_font_has_are_told_apart():
    found = lettering.lettering("café 猫 狗", SIZE)
    assert found.of("café 猫 狗") == "cafe \\u732b \\u72d7"


def test_the_font_that_lacks_fewest_is_taken(monkeypatch):
    has = {"own": "ab", "one": "abc", "other": "abcd"}
    monkeypatch.setattr(lettering, "_own", lambda _: "own")
    monkeypatch.setattr(lettering, "_systems", lambda _: ("one", "other"))
    monkeypatch.setattr(lettering, "_has", lambda font, letter: letter in has[font])
    taken = [lettering.lettering(text, SIZE) for text in ("ab", "abc", "abd", "abde")]
    assert taken == [("own", True), ("one", True), ("other", True), ("other", False)]
    assert taken[-1].of("bé") == "be"


@pytest.mark.parametrize("before", ["", "a man in a park near a " * 9])
@pytest.mark.parametrize("behind", ["", "of the small old town " * 9])
def test_the_word_stays_whatever_stands_around_it(before, behind):
    own = lettering.lettering("", SIZE)
    words = own.around(((before, "ink"), ("bicycle", "red"), (behind, "ink")), 300)
    assert words[1] == ("bicycle", "red")
    assert own.width(" ".join(text for text, _ in words)) <= 300
    assert before.endswith(words[0][0].removeprefix("…"))
    assert behind.startswith(words[2][0].removesuffix("…"))


def test_what_fits_is_not_shortened():
    own = lettering.lettering("", SIZE)
    words = (("a", "ink"), ("red", "red"), ("thing on the left side of it", "ink"))
    assert own.around(words, 300) == words


def red_letters(drawn):
    r, g, b = drawn.astype(int).transpose(2, 0, 1)
    return int(((r > 150) & (g < 90) & (b < 90)).sum())


def test_a_late_word_is_on_the_panel():
    long = "a man in a red coat rides through the park " * 4
    few, many = (
        panel([Row(GRAY, before, "bicycle", "", FLAT, 0.9, 0.4)]) for before in ("a", long)
    )
    assert red_letters(many) == pytest.approx(red_letters(few), rel=0.2)
    assert red_letters(few) > 0


def test_a_box_of_the_last_pixels_is_drawn():
    row = Grounded(GRAY, "the rim", FLAT, (0.5, 0.5), (0.999, 0.999, 0.001, 0.001), None, None)
    assert grounding_panel([row]).shape[2] == 3
