"""The bootstrap against a plain loop over the same draws, and what an interval must do."""

import math

import pytest
import reference
import torch
from tiny import draw

from softmask.metrics import bootstrap_interval, recall_at_k, recall_intervals


def by_loops(hits, unit, resamples, level, seed):
    """Draw units, pool their queries, sort the shares and interpolate between them."""
    members = {}
    for query, of in enumerate(unit):
        members.setdefault(of, []).append(query)
    generator = torch.Generator().manual_seed(seed)
    shares = []
    for start in range(0, resamples, 100):
        size = (min(100, resamples - start), len(members))
        for row in torch.randint(len(members), size, generator=generator).tolist():
            pooled = [hits[query] for of in row for query in members[of]]
            shares.append(sum(pooled) / len(pooled))
    shares.sort()

    def quantile(share):
        place = share * (len(shares) - 1)
        low, rest = math.floor(place), place % 1
        return shares[low] + rest * (shares[min(low + 1, len(shares) - 1)] - shares[low])

    return [quantile((1 - level) / 2), quantile((1 + level) / 2)]


@pytest.mark.parametrize(("level", "seed", "resamples"), [(0.95, 0, 150), (0.5, 3, 100)])
def test_interval_is_that_of_a_loop(level, seed, resamples):
    unit = torch.tensor([0, 0, 0, 1, 2, 2, 3, 4, 4, 4, 4, 5])  # uneven, as captions are
    hits = torch.stack([draw(12) > 0, draw(12, seed=1) > -1], dim=1)
    got = bootstrap_interval(hits, unit, resamples=resamples, level=level, seed=seed)
    for column in range(2):
        expected = by_loops(hits[:, column].tolist(), unit.tolist(), resamples, level, seed)
        assert got[:, column].tolist() == pytest.approx(expected)
    assert (got[0] < got[1]).all()


def test_the_same_arguments_give_the_same_interval_whatever_was_drawn_before():
    hits, unit = (draw(60) > 0)[:, None], torch.arange(60)
    first = bootstrap_interval(hits, unit)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert torch.equal(first, bootstrap_interval(hits, unit))
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(first, bootstrap_interval(hits, unit, seed=1))


def test_sure_things_have_no_width_and_half_is_binomial():
    unit = torch.arange(400)
    sure = torch.ones(400, 1, dtype=torch.bool)
    assert bootstrap_interval(sure, unit).flatten().tolist() == [1, 1]
    half = (unit % 2 == 0)[:, None]
    low, high = bootstrap_interval(half, unit).flatten().tolist()
    assert low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.006)
    assert high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.006)


def test_captions_that_stand_or_fall_with_their_image_tell_less():
    """Five equal answers an image are one answer: the interval is that of the images."""
    right = draw(80) > 0
    image = torch.arange(80).repeat_interleave(5)
    of_images = bootstrap_interval(right[:, None], torch.arange(80))
    assert torch.equal(bootstrap_interval(right[image][:, None], image), of_images)
    apart = bootstrap_interval(right[image][:, None], torch.arange(400))
    width, narrower = (float(ends[1] - ends[0]) for ends in (of_images, apart))
    assert 1.8 < width / narrower < 2.7  # the square root of five


def test_recall_intervals_hold_the_recalls():
    image = torch.arange(30).repeat_interleave(3)
    correct = torch.arange(30)[:, None] == image
    scores = draw(30, 90) + 2.0 * correct
    for s, c, unit in ((scores, correct, torch.arange(30)), (scores.T, correct.T, image)):
        recalls, intervals = recall_at_k(s, c), recall_intervals(s, c, unit)
        assert set(recalls) == set(intervals)
        hits = [
            [reference.recall_at_k(s[[q]], c[[q]], k) > 0 for k in (1, 5, 10)]
            for q in range(len(s))
        ]
        ends = bootstrap_interval(torch.tensor(hits), unit).T.tolist()
        assert list(intervals.values()) == ends
        for name, (low, high) in intervals.items():
            assert low < recalls[name] < high
    assert recalls["r1"] < recalls["r10"]
