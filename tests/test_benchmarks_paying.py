"""What an idea may cost, from curves drawn by hand."""

import measured
import pytest

from benchmarks.compared import settings
from benchmarks.paying import payment, payments, reached, time_answer, time_section

ALBEF = {100: 20.0, 200: 40.0, 400: 60.0}


@pytest.mark.parametrize(
    ("value", "step"), [(0.0, 0), (10.0, 50), (20.0, 100), (50.0, 300), (60.0, 400), (60.1, None)]
)
def test_a_curve_reaches_a_value_between_its_points(value, step):
    assert reached(ALBEF, value) == step


def test_a_level_curve_is_there_at_its_first_point():
    assert reached({100: 20.0, 200: 20.0}, 20.0) == 100


def test_a_dip_counts_once_it_was_there():
    assert reached({100: 30.0, 200: 20.0, 300: 40.0}, 25.0) == pytest.approx(100 * 25 / 30)


def test_a_worse_idea_must_cost_less_than_albef():
    found = payment({200: 30.0, 400: 50.0}, ALBEF, cost=1.0, second=0.5)
    assert found.may_cost == 300 / 400
    assert found.ahead is None


def test_a_worse_idea_that_is_cheap_enough_leads():
    # At step 400 it has taken the time of 240 of ALBEF's, which is at 44 by then.
    found = payment({200: 26.0, 400: 50.0}, ALBEF, cost=0.6, second=0.5)
    assert found == pytest.approx((0.6, 0.75, 0.5 * 0.6 * 200))


def test_a_better_idea_that_is_dear_leads_late():
    idea = {100: 20.0, 200: 44.0, 400: 70.0}
    found = payment(idea, ALBEF, cost=1.5, second=1.0)
    # Step 200 is at 300 of ALBEF's steps, where it has 50; step 400 is past its end.
    assert found == (1.5, None, None)
    assert payment(idea, ALBEF, cost=1.1, second=2.0).ahead == pytest.approx(440)


def test_the_section_has_costs_of_runs_alone_and_runs_at_equal_time():
    lines = [*measured.row("albef", [0.6, 0.62]), *measured.row("soft_mask", [0.45, 0.47])]
    lines += measured.row("soft_mask", [0.7, 0.73], steps=80, budget="time")
    lines += [measured.line("albef", 0, 0.1, steps=60, jobs=1)]
    lines += [measured.line("soft_mask", 0, 0.1, steps=60, jobs=1, seconds_per_step=0.6)]
    found = settings(lines)
    shared = next(each for each in found if each.budget == "steps")
    # ALBEF's mean curve is 30.5 at step 50 and 61 at step 100; the idea ends at 46.
    assert payments(shared, found, lines) == {
        "soft_mask": pytest.approx((1.2, (50 + 50 * 15.5 / 30.5) / 100, None), nan_ok=True)
    }
    said = time_section(found, lines)
    assert "| `soft_mask` | 1.20 | 0.75 | never | **+10.5 [10.0, 11.0]** |" in said
    assert "focal" not in said
    short = time_answer(found, lines)
    assert "| `soft_mask` | `focal` |" in short
    assert "100 steps each | 1.20, 0.75; **+10.5 [10.0, 11.0]** | not measured |" in short


def test_without_costs_nothing_is_measured():
    lines = [*measured.row("albef", [0.6, 0.62]), *measured.row("focal", [0.5, 0.55])]
    assert time_section(settings(lines), lines) == "not measured\n"
    assert time_answer(settings(lines), lines) == "not measured\n"
