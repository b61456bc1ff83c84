"""How far shares may be trusted: the percentile bootstrap (Efron, Annals of Statistics 1979).

Q queries in U units, K shares.
"""

import torch
from torch import Tensor

PART = 100
"""Resamples drawn at once: 100 of 50,000 units are 80 MB."""


def bootstrap_interval(
    hits: Tensor, unit: Tensor, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> Tensor:
    """Interval of the share of hits when whole units are drawn with replacement.

    Units are what was sampled from the world: a picture's five captions are five queries, but one
    draw. The same arguments give the same interval.

    Args:
        hits: True where a query is a hit, (Q, K).
        unit: of each query, from 0, each at least once, (Q,).
        resamples: draws of as many units as there are.
        level: share of the resamples inside the interval.
        seed: of the draws.

    Returns:
        Lower and upper ends, (2, K) float64 on the host.
    """
    unit, found = unit.cpu(), hits.cpu().double()
    units = int(unit.max()) + 1
    counted = torch.cat([found, torch.ones(len(found), 1, dtype=found.dtype)], dim=1)
    sums = torch.zeros(units, counted.shape[1], dtype=found.dtype).index_add_(0, unit, counted)
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for start in range(0, resamples, PART):
        size = (min(PART, resamples - start), units)
        drawn = sums[torch.randint(units, size, generator=generator)].sum(dim=1)
        parts.append(drawn[:, :-1] / drawn[:, -1:])
    tail = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=found.dtype)
    return torch.quantile(torch.cat(parts), tail, dim=0)
