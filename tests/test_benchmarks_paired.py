"""Statistics over seeds, beside plain enumeration, numpy and printed tables."""

import itertools

import numpy as np
import pytest

from benchmarks.paired import (
    Difference,
    bootstrap,
    difference,
    off_zero,
    spread,
    student,
    t_quantile,
)


@pytest.mark.parametrize("size", [2, 3, 5, 6])
def test_bootstrap_is_that_of_all_resamples(size):
    values = np.random.default_rng(size).normal(size=size)
    means = [np.mean(drawn) for drawn in itertools.product(values, repeat=size)]
    low = np.quantile(means, 0.025, method="inverted_cdf")
    high = -np.quantile(np.negative(means), 0.025, method="inverted_cdf")
    assert bootstrap(values.tolist()) == pytest.approx((low, high))


def test_bootstrap_of_many_is_that_of_draws():
    values = np.random.default_rng(1).normal(2, 3, size=40)
    error = values.std() / 40**0.5
    found = bootstrap(values.tolist())
    expected = (values.mean() - 1.96 * error, values.mean() + 1.96 * error)
    assert found == pytest.approx(expected, abs=0.1 * error)
    assert bootstrap(values.tolist()) == found


@pytest.mark.parametrize(
    ("freedom", "printed"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (30, 2.042)],
)
def test_student_has_the_printed_quantiles(freedom, printed):
    assert t_quantile(freedom) == pytest.approx(printed, abs=5e-4)


def test_student_covers_the_mean_in_95_of_100_draws():
    draws = np.random.default_rng(0).normal(7, 2, size=(2000, 4))
    covered = [off_zero(student((draw - 7).tolist())) for draw in draws]
    assert np.mean(covered) == pytest.approx(0.05, abs=0.015)


def test_spread_is_numpys():
    values = [0.3, 0.1, 0.7]
    assert spread(dict(enumerate(values))) == pytest.approx(
        (np.mean(values), np.std(values, ddof=1), 3)
    )
    assert spread({5: 0.5}) == (0.5, None, 1)
    assert spread({}) is None


def test_rows_are_paired_by_seed():
    found = difference({0: 5.0, 1: 9.0, 7: 100.0}, {1: 7.0, 0: 4.0, 8: -100.0})
    assert found is not None
    assert (found.mean, found.seeds) == (1.5, 2)
    assert found.bootstrap == (1.0, 2.0)
    assert difference({0: 1.0}, {1: 1.0}) is None
    assert difference({3: 5.0}, {3: 2.0}) == Difference(3.0, 1, None, None)


def test_noise_hints_in_a_case_of_four_with_three_seeds_and_of_six_with_five():
    draws = np.random.default_rng(2)

    def hints(seeds):
        noise = [dict(enumerate(draws.normal(size=seeds).tolist())) for _ in range(3000)]
        found = [difference(each, dict.fromkeys(each, 0.0)) for each in noise]
        return np.mean([each.hinted for each in found])

    assert hints(2) == 0  # half of them have one sign
    assert hints(3) == pytest.approx(1 / 4, abs=0.03)
    assert hints(5) == pytest.approx(1 / 6, abs=0.03)


def test_three_of_one_sign_hint_and_no_more():
    found = difference({0: 1.0, 1: 2.0, 2: 9.0}, dict.fromkeys(range(3), 0.0))
    assert found is not None
    assert found.hinted
    assert not found.significant  # Student's interval of 1, 2, 9 holds 0
    sure = difference({0: 2.0, 1: 2.1, 2: 1.9}, dict.fromkeys(range(3), 0.0))
    assert sure is not None
    assert sure.significant
    worse = difference(dict.fromkeys(range(3), 0.0), {0: 2.0, 1: 2.1, 2: 1.9})
    assert worse is not None
    assert worse.significant
    assert not Difference(1.0, 1, None, None).significant
