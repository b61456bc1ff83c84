"""Choices within ideas on the page of results: beside the idea, and beside ALBEF."""

import measured

from benchmarks.chosen import choices_answer, choices_of, choices_section
from benchmarks.compared import settings

IDEA = [*measured.row("albef", [0.5, 0.52, 0.54]), *measured.row("mmda", [0.40, 0.42, 0.44])]
CHOICE = measured.row("mmda/image", [0.45, 0.47, 0.49])
LINES = [*IDEA, *CHOICE, *measured.row("soft_mask+mmda/image", [0.3, 0.3, 0.3])]


def test_choices_are_known_with_their_ideas():
    assert choices_of(LINES) == {"mmda/image": "mmda"}
    assert choices_of(IDEA) == {}


def test_a_section_has_both_differences():
    said = choices_section(settings(LINES))
    assert said.startswith("**emoji**, tiny on cpu, 100 steps each\n\n")
    means, to_idea, to_albef = said.split("\n\n")[1:4]
    assert [line.split(" | ")[0] for line in means.splitlines()[2:]] == [
        "| `mmda`",
        "| `mmda/image`",
    ]
    assert "| `mmda/image` - `mmda` | 3 | **+2.5" in to_idea
    assert to_idea.endswith("**+5.0 [5.0, 5.0]** |")
    assert "| `mmda/image` - `albef` | 3 | **-2.5" in to_albef
    assert to_albef.endswith("**-5.0 [-5.0, -5.0]** |")
    assert "soft_mask+" not in said


def test_settings_without_choices_are_left_out():
    scenes = [line | {"data": "scenes"} for line in IDEA]
    assert "scenes" not in choices_section(settings([*LINES, *scenes]))
    assert "scenes" not in choices_answer(settings([*LINES, *scenes]))
    assert choices_section(settings(IDEA)) == choices_answer(settings(IDEA)) == "not measured\n"


def test_an_answer_has_a_line_for_each_choice():
    half = measured.row("soft_mask/half", [0.6, 0.6, 0.6], steps=200)
    whole = measured.row("soft_mask", [0.5, 0.51, 0.52], steps=200)
    rows = choices_answer(settings([*LINES, *half, *whole])).splitlines()
    assert rows[0].count("emoji, tiny on cpu") == 2
    assert rows[2] == "| `soft_mask/half` - `soft_mask` | **+9.0 [8.0, 10.0]** | not measured |"
    assert rows[3] == "| `mmda/image` - `mmda` | not measured | **+5.0 [5.0, 5.0]** |"
    assert len(rows) == 4


def test_a_choice_whose_idea_has_no_run_is_not_compared():
    said = choices_section(settings([*IDEA, *measured.row("focal/gamma1", [0.5, 0.5])]))
    assert "| `focal/gamma1` - `focal` | not measured |" in said
    assert "focal" not in choices_answer(
        settings([*IDEA, *measured.row("focal/gamma1", [0.5, 0.5])])
    )
