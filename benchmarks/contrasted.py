"""What focal contrast may change: temperature, calibration, and recall of hard examples.

N pairs, one caption a picture.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

QUARTER = 4
BINS = 10


def same_text(captions: Sequence[str]) -> Tensor:
    """Which captions are equal, (N, N)."""
    number = {text: place for place, text in enumerate(dict.fromkeys(captions))}
    ids = torch.tensor([number[text] for text in captions])
    return ids[:, None] == ids


def hard_queries(captions: Sequence[str]) -> Tensor:
    """The quarter whose caption shares most words with another one (Jaccard), (N,) bool.

    It is a matter of the data, not of a model.
    """
    words = [set(text.lower().split()) for text in captions]
    nearest = [max((len(a & b) / len(a | b) for b in words if a != b), default=0.0) for a in words]
    order = torch.tensor(nearest).argsort(descending=True, stable=True)
    hard = torch.zeros(len(words), dtype=torch.bool)
    hard[order[: -(-len(words) // QUARTER)]] = True
    return hard


def calibration_error(confidence: Tensor, right: Tensor, bins: int = BINS) -> float:
    """Expected calibration error (Guo et al., ICML 2017) in bins of equal width: (N,) twice."""
    place = (confidence.double() * bins).long().clamp(0, bins - 1)
    gaps = [
        (confidence[place == b].double().mean() - right[place == b].double().mean()).abs()
        * (place == b).sum()
        for b in sorted({*place.tolist()})
    ]
    return float(torch.stack(gaps).sum() / len(confidence))


def contrast_report(
    image: Tensor, text: Tensor, temperature: float, captions: Sequence[str]
) -> dict[str, float]:
    """Temperature, recall at one of all and of the hard quarter, calibration of the softmax.

    Args:
        image: unit features, (N, E).
        text: unit features, (N, E).
        temperature: of the contrast.
        captions: N; equal ones are right for each other.
    """
    same, hard = same_text(captions), hard_queries(captions)
    report = {"temperature": temperature}
    logits = (image @ text.T).double().cpu() / temperature
    for name, scores in {"i2t": logits, "t2i": logits.T}.items():
        confidence, top = scores.softmax(dim=1).max(dim=1)
        right = same.gather(1, top[:, None])[:, 0].double()
        report |= {
            f"{name}/r1": float(right.mean()),
            f"{name}/r1_hard": float(right[hard].mean()),
            f"{name}/confidence": float(confidence.mean()),
            f"{name}/calibration_error": calibration_error(confidence, right),
        }
    return report
