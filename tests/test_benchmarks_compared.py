"""Which runs of the ablation compare, and tables of what they found; pictures of the same."""

import re
from xml.etree import ElementTree

import measured
import pytest

from benchmarks import compared, questions
from benchmarks.compared import RECALL, Figure, Setting, compare, settings
from benchmarks.plotted import forest, pictures
from softmask.curves import Chart, picture

ALBEF = measured.row("albef", [0.50, 0.52, 0.54])
BETTER = measured.row("soft_mask", [0.60, 0.62, 0.65])  # by 10, 10 and 11 points
UNSURE = measured.row("focal", [0.51, 0.60, 0.55])  # by 1, 8 and 1
LINES = [*ALBEF, *BETTER, *UNSURE]
PLACE = Setting("emoji", "tiny", "cpu", 100, "steps")
NO_MATCH = {"shortcut/masked/even/accuracy": 0.25, "shortcut/level/even/accuracy": 0.75}


def test_a_figure_is_the_mean_of_its_numbers_in_percent():
    line = measured.line("albef", 0, 0.5)
    line["metrics"] |= {"itm/i2t/r1": 0.2, "itm/t2i/r1": 0.4}
    figure = compared.recall("itm", (1,), "R@1")
    assert figure.of(line) == pytest.approx(30.0)
    assert RECALL.of(line) == pytest.approx(100 * (0.2 + 0.4 + 4 * 0.5) / 6)
    assert figure.of({**line, "metrics": {"itm/i2t/r1": 0.2}}) is None
    assert Figure("", ("probe/contrast/temperature",), 1).of(line) == 0.05


def test_runs_compare_only_with_those_of_their_setting():
    small = measured.row("albef", [0.9, 0.9], preset="small")
    longer = measured.row("all", [0.9, 0.9], steps=200)
    found = settings([*LINES, *small, *longer])
    assert found[PLACE] == LINES
    assert found[PLACE._replace(preset="small")] == small
    assert found[PLACE._replace(steps=200)] == longer
    assert compare(longer, "all", "albef", RECALL) is None


def test_runs_that_only_time_a_step_are_no_setting():
    timing = [measured.line(row, 0, 0.1, steps=30, jobs=1) for row in ("albef", "all")]
    assert list(settings([*timing, *LINES])) == [PLACE]


def test_runs_at_equal_time_come_with_the_albef_whose_time_it_is():
    timing = [
        measured.line("albef", 0, 0.1, steps=30, jobs=1, seconds_per_step=0.2),
        measured.line("soft_mask", 0, 0.1, steps=30, jobs=1, seconds_per_step=0.3),
    ]
    # 67 steps at 0.3 s are 100.5 at 0.2 s
    timed = measured.row("soft_mask", [0.55, 0.55, 0.55], steps=67, budget="time")
    found = settings([*timing, *LINES, *timed])
    assert list(found) == [PLACE, PLACE._replace(budget="time")]
    move = compare(found[PLACE._replace(budget="time")], "soft_mask", "albef", RECALL)
    assert move is not None
    assert move.mean == pytest.approx(3.0)
    assert found[PLACE] == LINES


def test_choices_are_judged_by_their_idea():
    names = ["albef", "soft_mask", "soft_mask/two", "soft_mask+mmda/text", "all"]
    assert [compared.default_of(name) for name in names[1:]] == [
        "albef",
        "soft_mask",
        "albef",
        "albef",
    ]
    shuffled = [{"row": name} for name in ("focal/gamma1", *names[::-1])]
    order = [*names[:2], "all", "soft_mask/two", "focal/gamma1", "soft_mask+mmda/text"]
    assert compared.rows_of(shuffled) == order


def test_tables_show_mean_deviation_difference_and_interval():
    means = compared.means_table(LINES, ["albef", "mmda"], [RECALL]).splitlines()
    assert means[2:] == ["| `albef` | 3 | 52.0 ± 2.0 |", "| `mmda` | not measured |  |"]
    pairs = dict.fromkeys(("soft_mask", "focal", "mmda"), "albef")
    moves = compared.differences_table(LINES, pairs, [RECALL]).splitlines()
    assert moves[2:] == [
        "| `soft_mask` - `albef` | 3 | **+10.3 [10.0, 11.0]** |",
        "| `focal` - `albef` | 3 | *+3.3 [1.0, 8.0]* |",
        "| `mmda` - `albef` | not measured |  |",
    ]
    single = [measured.line("albef", 4, 0.5), measured.line("all", 4, 0.6)]
    assert "| 1 | +10.0 |" in compared.differences_table(single, {"all": "albef"}, [RECALL])
    boxes = Figure("coverage", ("probe/boxes/coverage",))
    assert "| 3 | not measured |" in compared.means_table(LINES, ["albef"], [boxes])


def test_questions_have_their_figures():
    positives = measured.row("soft_mask/positives", [0.6, 0.6, 0.6], probe=NO_MATCH)
    masked = [{**each, "probe": dict.fromkeys(NO_MATCH, 0.95)} for each in BETTER]
    found = settings([*ALBEF, *masked, *positives])
    said = questions.section(questions.SHORTCUT, found)
    assert re.search(r"`soft_mask/positives` \| 3 \| .*25.0 ± 0.0 .*75.0 ± 0.0", said)
    short = questions.answer(questions.SHORTCUT.told, found)
    assert "`soft_mask/positives` - `soft_mask`: no match, under the word's mask, % |" in short
    assert (
        "| emoji, tiny on cpu, 100 steps each | **-70.0 [-70.0, -70.0]** | not measured | " in short
    )
    assert questions.COVERAGE.title not in questions.section(questions.MAPS, found)
    assert "not measured" in questions.answer(questions.MAPS.told, found)
    focal = questions.answer(questions.FOCAL.told, settings(LINES))
    assert "|  | `focal` - `albef`: temperature | " in focal
    assert "| emoji, tiny on cpu, 100 steps each | +0.0000 [0.0000, 0.0000] | " in focal
    assert questions.section(questions.FOCAL, {}) == "not measured\n"
    assert questions.answer(questions.FOCAL.told, {}) == "not measured\n"
    timed = {shared._replace(budget="time"): mine for shared, mine in settings(LINES).items()}
    assert questions.section(questions.FOCAL, timed) == "not measured\n"


def test_cost_is_of_runs_that_were_alone():
    alone = [
        measured.line("albef", 0, 0.5, jobs=1, seconds_per_step=0.2),
        measured.line("all", 0, 0.5, jobs=1, seconds_per_step=0.3),
        measured.line("all", 1, 0.5, jobs=1, seconds_per_step=None),
        measured.line("all", 0, 0.5, jobs=1, seconds_per_step=9.0, machine="another"),
    ]
    lines = [*LINES, *alone]
    said = questions.cost_section(lines)
    assert "| `all` | 1 | 300 | 1.50 |" in said
    assert "| `all` | 1 | 9,000 | not measured |" in said
    assert "| `focal` | not measured |" in said
    short = questions.cost_answer(lines)
    assert (
        "| emoji, tiny on cpu (a machine) | not measured | not measured | not measured | 1.50 |"
        in short
    )
    assert "another" not in short
    assert questions.cost_section(LINES) == "not measured\n"


def test_defaults_follow_validation_and_not_the_test():
    lines = [line | {"curve": {"9": {"recall": 0.9}, "100": {"recall": 0.5}}} for line in BETTER]
    move = compare([*ALBEF, *lines], "soft_mask", "albef", compared.JUDGED)
    assert move is not None
    assert move.mean == pytest.approx(-2)
    assert "| neither shown | `soft_mask`" in questions.defaults_answer(settings([*ALBEF, *lines]))
    assert compared.JUDGED.of(measured.line("albef", 0, 0.5, curve={})) is None


def test_scenes_have_a_backbone_of_their_own():
    assert PLACE.title == "tiny on cpu, 100 steps each"
    assert PLACE._replace(data="scenes").title == "local on cpu, 100 steps each"
    assert PLACE._replace(data="scenes", preset="small").title == "small on cpu, 100 steps each"


def test_a_default_follows_from_what_is_better_and_nowhere_worse():
    other = measured.row("soft_mask", [0.30, 0.31, 0.32], data="scenes")
    ground = measured.row("albef", [0.40, 0.411, 0.42], data="scenes")
    alone = settings(LINES)
    said = questions.defaults_answer(alone)
    assert "| better on two data sets or more, worse on none | none |" in said
    assert "| better on one, worse on none | `soft_mask` |" in said
    assert "| worse somewhere and better nowhere | none |" in said
    both = {**alone, **settings([*other, *ground])}
    said = questions.defaults_answer(both)
    assert "| better on one, worse on none | none |" in said
    assert "| both | `soft_mask` |\n| neither shown | `focal`" in said
    (row,) = [x for x in questions.verdicts(both) if x.row == "soft_mask"]
    assert [len(each) for each in row[1:]] == [1, 1, 0, 1]
    (focal,) = [x for x in questions.verdicts(both) if x.row == "focal"]
    assert [len(each) for each in focal[1:]] == [0, 0, 1, 0]
    assert "| `mmda` | `albef` |  |  | not measured |" in questions.defaults_section(both)
    assert questions.defaults_answer({}) == "not measured\n"
    twice = {**alone, **settings([line | {"data": "scenes"} for line in LINES])}
    said = questions.defaults_answer(twice)
    assert "| better on two data sets or more, worse on none | `soft_mask` |" in said
    longer = {**alone, **settings([line | {"steps": 900} for line in LINES])}
    assert "two data sets or more, worse on none | none |" in questions.defaults_answer(longer)


def points(element: ElementTree.Element) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split(","))) for pair in element.attrib["points"].split()]


def test_a_forest_draws_intervals_where_they_are():
    moves = {row: compare(LINES, row, "albef", RECALL) for row in ("soft_mask", "focal")}
    drawn = ElementTree.fromstring(forest("emoji", moves, RECALL))
    space = "{http://www.w3.org/2000/svg}"
    zero, *bars = [points(each) for each in drawn.iter(f"{space}polyline")]
    assert zero[0][0] == zero[1][0]
    unit = (bars[0][1][0] - zero[0][0]) / 11  # the largest end, 11 points, lies at the border
    ends = [[(x - zero[0][0]) / unit for x, _ in bar] for bar in bars]
    assert ends[0] == pytest.approx([10, 11], abs=0.01)
    assert ends[2] == pytest.approx([1, 8], abs=0.01)
    assert ends[3] == pytest.approx([10 / 3] * 2, abs=0.01)
    dashed = [each.get("stroke-dasharray") for each in drawn.iter(f"{space}polyline")]
    assert dashed == [None, "none", None, "3 3", None]


def test_pictures_of_a_setting():
    alone = [
        measured.line("albef", 0, 0.5, jobs=1, steps=9, seconds_per_step=0.2),
        measured.line("focal", 0, 0.5, jobs=1, steps=9, seconds_per_step=0.4),
    ]
    names = {name.rpartition("-")[2] for name in pictures(settings(LINES), LINES)[PLACE]}
    assert names == {"curves.svg", "differences.svg"}
    known = [*LINES, *alone]
    made = pictures(settings(known), known)[PLACE]
    seconds = made["emoji-tiny-cpu-100-seconds.svg"]
    assert ">second 40</text>" in seconds
    assert "soft_mask" not in seconds
    curves = made["emoji-tiny-cpu-100-curves.svg"]
    assert "albef: 26 at step 50, 52 at step 100" in curves
    for each in made.values():
        assert ElementTree.fromstring(each).get("width")
    assert not pictures({PLACE: ALBEF}, ALBEF)[PLACE]


def test_a_chart_alone_holds_title_and_legend():
    drawn = picture(Chart("a <b>", {"one & two": {1: 0.5, 9: 2.0}}, "second"))
    root = ElementTree.fromstring(drawn)
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "a <b>"
    assert texts[-1] == "one & two: 2"
    assert {"second 1", "second 9"} <= set(texts)
