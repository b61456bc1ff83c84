"""What an idea may cost and when it leads, from curves drawn by hand."""

import measured
import pytest

from benchmarks.compared import settings
from benchmarks.paying import (
    ahead,
    at_equal_time,
    curves,
    may_cost,
    payments,
    time_answer,
    time_section,
)

ALBEF = {100: 20.0, 200: 40.0, 400: 60.0}


@pytest.mark.parametrize(
    ("end", "share"),
    [(10.0, 0.25), (20.0, 0.25), (30.0, 0.375), (50.0, 0.75), (60.0, 1.0), (60.1, None)],
)
def test_an_idea_may_cost_the_share_after_which_albef_is_where_it_ends(end, share):
    assert may_cost({100: 99.0, 400: end}, ALBEF) == share


def test_where_albef_comes_back_down_its_first_time_counts():
    assert may_cost({300: 25.0}, {100: 20.0, 200: 30.0, 300: 20.0}) == 0.5
    assert may_cost({300: 20.0}, {100: 10.0, 200: 20.0, 300: 20.0}) == pytest.approx(2 / 3)


def test_a_dear_idea_is_compared_where_albef_ends():
    # Of its own points the last in time is ahead, at second 60; at ALBEF's end it is far behind.
    idea, ground = {50: 44.0, 100: 46.0, 150: 46.0}, {50: 36.0, 100: 61.0}
    assert ahead(idea, ground, own=1.2, second=1.0) is None
    assert ahead({50: 44.0, 100: 90.0}, ground, own=1.2, second=1.0) == 60.0


def test_a_cheap_idea_that_has_ended_waits_for_albef():
    idea = {200: 26.0, 400: 50.0}
    assert ahead(idea, ALBEF, own=0.3, second=0.5) is None  # it ends at second 120, with 50
    assert ahead({200: 26.0, 400: 61.0}, ALBEF, own=0.3, second=0.5) == 60.0


def test_a_lead_that_is_lost_counts_from_where_it_is_won_back():
    idea = {100: 30.0, 200: 35.0, 300: 56.0, 400: 70.0}
    assert ahead(idea, ALBEF, own=2.0, second=2.0) == 600.0
    assert ahead({100: 30.0, 200: 41.0, 300: 51.0, 400: 61.0}, ALBEF, own=2.0, second=2.0) == 200.0


def test_a_tie_is_no_lead_and_before_the_first_validation_nothing_is_said():
    assert ahead(ALBEF, ALBEF, own=1.0, second=1.0) is None
    early = {50: 1.0, 200: 45.0, 400: 65.0}
    assert ahead(early, ALBEF, own=1.0, second=1.0) == 200.0


def run(row, seed, *recalls, **given):
    """A line that was validated a few times, evenly, and ends at the last of these recalls."""
    steps = given.get("steps", 100)
    at = [steps * (n + 1) // len(recalls) for n in range(len(recalls))]
    points = {str(step): {"recall": value} for step, value in zip(at, recalls, strict=True)}
    return measured.line(row, seed, recalls[-1], curve=points, **given)


def alone(row, seconds, **given):
    """A line that tells what a step costs."""
    given = {"steps": 60, "jobs": 1, "seconds_per_step": seconds, **given}
    return measured.line(row, 0, 0.1, curve={}, **given)


COSTS = [alone("albef", 0.5), alone("soft_mask", 0.6)]
LINES = [
    *(run("albef", 0, 0.2, 0.4, 0.5, 0.6), run("albef", 1, 0.2, 0.4, 0.5, 0.6)),
    *(run("soft_mask", 0, 0.1, 0.2, 0.4, 0.45), run("soft_mask", 1, 0.5, 0.6, 0.65, 0.7)),
]


def test_each_seed_pays_for_itself():
    found = payments(LINES, [*LINES, *COSTS])
    assert found.keys() == {"soft_mask"}
    cost, may, leads = found["soft_mask"]
    assert cost == pytest.approx(1.2)
    assert may == [pytest.approx(0.625), None]
    # The second seed's own first validation is at second 25 x 0.6, later than ALBEF's.
    assert leads == [None, pytest.approx(15.0)]


@pytest.mark.parametrize("other", [{"machine": "another"}, {"device": "cuda"}, {"data": "scenes"}])
def test_costs_of_another_place_do_not_count(other):
    there = [alone("albef", 9.0, **other), alone("soft_mask", 0.1, **other)]
    assert payments(LINES, [*LINES, *COSTS, *there])["soft_mask"].cost == pytest.approx(1.2)
    assert payments(LINES, [*LINES, *there]) == {}


def test_one_seed_in_common_or_few_validations_are_too_little():
    assert payments([*LINES[:2], LINES[2]], COSTS) == {}
    assert payments([*LINES[:3], run("soft_mask", 1, 0.5, 0.7)], COSTS) == {}
    assert [*curves([run("albef", 4, 0.1, 0.2), run("albef", 5, 0.1, 0.2, 0.3)], "albef")] == [5]


def test_the_section_stands_beside_runs_at_equal_time():
    timed = [
        run("soft_mask", seed, 0.1, 0.2, end, steps=83, budget="time")
        for seed, end in enumerate((0.7, 0.71))
    ]
    known = [*LINES, *timed, *COSTS]
    found = settings(known)
    said = time_section(found, known)
    assert said.count("| `soft_mask` |") == 1  # equal time has no table of its own
    row = "| `soft_mask` | 2 | 1.20 | 0.62 to 1 or more | 1 of 2 seeds, by second 15 |"
    assert f"{row} +10.5 [10.0, 11.0] |" in said
    short = time_answer(found, known)
    assert "| `soft_mask` | `focal` |" in short
    assert "each | 1.20, 0.62 to 1 or more; +10.5 [10.0, 11.0] | not measured |" in short


def test_seeds_that_lead_are_told_by_when_all_of_them_do():
    late = run("soft_mask", 0, 0.1, 0.2, 0.6, 0.9)
    known = [*LINES[:2], late, LINES[3], *COSTS]
    assert "| 2 of 2 seeds, by second 45 |" in time_section(settings(known), known)


def test_runs_of_as_many_steps_are_those_at_equal_time():
    found = settings(LINES)
    (shared,) = found
    assert at_equal_time(found, shared, "soft_mask", 1.001) == "-2.5 [-15.0, 10.0]"
    assert at_equal_time(found, shared, "soft_mask", 1.2) == "not measured"


def test_without_costs_nothing_is_measured():
    assert time_section(settings(LINES), LINES) == "not measured\n"
    assert time_answer(settings(LINES), LINES) == "not measured\n"
