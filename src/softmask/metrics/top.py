"""Top-k accuracy of a classification, whole and by class.

R rows, C classes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from softmask.metrics.bootstrap import bootstrap_interval

KS = (1, 5)


def top_k_report(
    rank: Tensor, label: Tensor, names: Sequence[str], ks: Sequence[int] = KS
) -> dict[str, Any]:
    """Share of rows whose class is among the first k.

    Args:
        rank: classes before the right one, (R,); see `rank_of_correct`.
        label: (R,).
        names: of the C classes; equal names are numbered.
        ks: cut-offs.

    Returns:
        `{"top1": ..., "top5": ..., "interval": {"top1": [low, high], ...}, "per_class": {name:
        top-1 of its rows}}` in 0..1, the intervals 95 % bootstrap over rows; classes without rows
        are left out.
    """
    hits = (rank[:, None] < torch.tensor(ks, device=rank.device)).cpu()
    ends = bootstrap_interval(hits, torch.arange(len(hits))).tolist()
    label, shares = label.cpu(), hits.double().mean(dim=0).tolist()
    first = rank.cpu() == 0
    counts = torch.bincount(label, minlength=len(names)).tolist()
    right = torch.bincount(label[first], minlength=len(names)).tolist()
    return {
        **{f"top{k}": share for k, share in zip(ks, shares, strict=True)},
        "interval": {f"top{k}": [low, high] for k, low, high in zip(ks, *ends, strict=True)},
        "per_class": {
            name: hit / count
            for name, hit, count in zip(_told_apart(names), right, counts, strict=True)
            if count
        },
    }


def _told_apart(names: Sequence[str]) -> list[str]:
    repeated = {name for name in names if names.count(name) > 1}
    return [f"{name} #{place}" if name in repeated else name for place, name in enumerate(names)]
