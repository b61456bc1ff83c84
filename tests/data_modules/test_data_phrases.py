"""What an expression is about."""

import pytest

from data_modules.phrases import head_phrase
from data_modules.scenes.english import AT, HOW
from data_modules.scenes.nouns import LEVEL_1


@pytest.mark.parametrize(
    ("expression", "head"),
    [
        ("the cat", "the cat"),
        ("the red cat to the left of the dog", "the red cat"),
        ("the rocket right of the umbrella", "the rocket"),
        ("left man in blue", "left man"),
        ("Man, left", "Man,"),
        ("second from the right", "second"),
        ("woman wearing a hat", "woman"),
        ("the one on top", "the one on top"),
        ("on it", "on it"),
        ("left", "left"),
        ("in front of the blue car", "in front of the blue car"),
        ("unaffable", "unaffable"),
    ],
)
def test_head_of_an_expression(expression, head):
    assert head_phrase(expression) == head


@pytest.mark.parametrize("noun", LEVEL_1)
def test_head_of_what_scenes_say(noun):
    others = [f"{how} the blue heart" for ways in HOW.values() for how in ways]
    for told in ("", *AT.values(), *others):
        assert head_phrase(f"the {noun} {told}".strip()) == f"the {noun}"
