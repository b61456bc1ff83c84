"""Figures over seeds: mean and spread, and differences of two rows seed by seed with intervals.

Pure functions of numbers by seed. N seeds that both rows have.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np

Values = Mapping[int, float]
"""A figure of a row by seed."""
Interval = tuple[float, float]

EXACT = 10
"""Up to so many differences every resample is counted; of more, some are drawn."""
DRAWS = 20_000
TAIL = 0.025
"""On each side of an interval of 95 %."""
FEWEST = 3
"""Differences that may hint at something: two that are noise have one sign every other time."""


class Spread(NamedTuple):
    """A figure over seeds; of one seed there is no deviation."""

    mean: float
    deviation: float | None
    seeds: int


class Difference(NamedTuple):
    """A row less another; of one seed there are no intervals."""

    mean: float
    seeds: int
    bootstrap: Interval | None
    student: Interval | None

    @property
    def hinted(self) -> bool:
        """Whether the bootstrap interval of `FEWEST` seeds or more is off 0.

        It says little of few seeds: of differences that are noise it is so in one case of four with
        three seeds, whose interval is their range, and in one of six with five.
        """
        return self.bootstrap is not None and self.seeds >= FEWEST and off_zero(self.bootstrap)

    @property
    def significant(self) -> bool:
        """Whether both intervals are off 0."""
        return self.hinted and self.student is not None and off_zero(self.student)


def spread(values: Values) -> Spread | None:
    """Mean and standard deviation (N - 1 below) over seeds; None without seeds."""
    found = list(values.values())
    if not found:
        return None
    return Spread(fmean(found), stdev(found) if len(found) > 1 else None, len(found))


def difference(row: Values, ground: Values) -> Difference | None:
    """Compare two rows on the seeds that both have, a pair a seed.

    Args:
        row: what is judged.
        ground: what is subtracted.

    Returns:
        None if they share no seed.
    """
    seeds = sorted(row.keys() & ground.keys())
    if not seeds:
        return None
    pairs = [row[seed] - ground[seed] for seed in seeds]
    if len(pairs) == 1:
        return Difference(pairs[0], 1, None, None)
    return Difference(fmean(pairs), len(pairs), bootstrap(pairs), student(pairs))


def bootstrap(values: Sequence[float]) -> Interval:
    """The percentile interval of the mean of N values, at 95 % (Efron, 1979).

    Up to `EXACT` values it is that of all N^N resamples, and no chance is in it.
    """
    means, counts = _resamples(values) if len(values) <= EXACT else _drawn(values)
    order = np.argsort(means, kind="stable")
    return _low(means[order], counts[order]), -_low(-means[order][::-1], counts[order][::-1])


def student(values: Sequence[float]) -> Interval:
    """The interval of the mean of N values by Student's t, at 95 %: for few, normal values."""
    middle = fmean(values)
    reach = t_quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return middle - reach, middle + reach


def t_quantile(freedom: int) -> float:
    """What |t| stays below in 95 of 100 cases, at 1 degree of freedom or more."""
    low, high = 1.0, 13.0  # 12.71 at one degree, and less at more
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_within(middle, freedom) < 1 - 2 * TAIL else (low, middle)
    return (low + high) / 2


def off_zero(interval: Interval) -> bool:
    """Whether 0 lies outside."""
    return interval[0] > 0 or interval[1] < 0


def _resamples(values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """The mean of every multiset of N values, and in how many orders it is drawn."""
    size = len(values)
    means, counts = [], []
    for places in combinations_with_replacement(range(size), size):
        repeats = np.bincount(places, minlength=size).tolist()
        means.append(sum(n * value for n, value in zip(repeats, values, strict=True)) / size)
        counts.append(math.factorial(size) // math.prod(map(math.factorial, repeats)))
    return np.array(means), np.array(counts)


def _drawn(values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    # RandomState's stream is promised to stay; pages are compared byte by byte.
    places = np.random.RandomState(0).randint(len(values), size=(DRAWS, len(values)))
    return np.array(values)[places].mean(axis=1), np.ones(DRAWS, dtype=int)


def _low(means: np.ndarray, counts: np.ndarray) -> float:
    """The least value that a share of `TAIL` does not exceed; both in the order of means."""
    return float(means[np.searchsorted(counts.cumsum(), TAIL * counts.sum())])


def _t_within(t: float, freedom: int) -> float:
    """P(|T| < t), in closed form (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term, total = math.cos(angle) if odd else 1.0, 0.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * math.cos(angle) ** 2
    return 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
