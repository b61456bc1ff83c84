"""The equations term by term, in Python's own doubles: slow, and what the fast code must equal."""

import math
from collections.abc import Callable, Sequence

from torch import Tensor

Row = list[float]


def log_softmax(row: Sequence[float]) -> Row:
    top = max(row)
    total = top + math.log(math.fsum(math.exp(x - top) for x in row))
    return [x - total for x in row]


def softmax(row: Sequence[float]) -> Row:
    return [math.exp(x) for x in log_softmax(row)]


def similarity(features: Tensor, candidates: Tensor, temperature: float) -> list[Row]:
    return [
        [
            math.fsum(a * b for a, b in zip(x, y, strict=True)) / temperature
            for y in _rows(candidates)
        ]
        for x in _rows(features)
    ]


def soft_targets(teacher: Tensor, positive: Tensor, alpha: float) -> list[Row]:
    """alpha of the teacher's softmax, the rest in equal parts on the positives."""
    out = []
    for logits, known in zip(_rows(teacher), positive.tolist(), strict=True):
        count = sum(known)
        out.append(
            [
                alpha * q + (1 - alpha) * (1 / count if k else 0.0)
                for q, k in zip(softmax(logits), known, strict=True)
            ]
        )
    return out


def itc(i2t: Tensor, t2i: Tensor, target_i2t: Tensor, target_t2i: Tensor) -> float:
    """-1/2 mean_b sum_m [y log p], both directions."""

    def row_loss(log_p: Row, y: Row) -> float:
        return -math.fsum(b * c for b, c in zip(y, log_p, strict=True))

    return _both(row_loss, i2t, t2i, target_i2t, target_t2i)


def focal_per_term(
    i2t: Tensor, t2i: Tensor, target_i2t: Tensor, target_t2i: Tensor, gamma: float
) -> float:
    """Form A: -1/2 mean_b sum_m [y (1 - p)^gamma log p]."""

    def row_loss(log_p: Row, y: Row) -> float:
        return -math.fsum(b * (1 - math.exp(c)) ** gamma * c for b, c in zip(y, log_p, strict=True))

    return _both(row_loss, i2t, t2i, target_i2t, target_t2i)


def focal_per_row(
    i2t: Tensor,
    t2i: Tensor,
    target_i2t: Tensor,
    target_t2i: Tensor,
    positive: Tensor,
    gamma: float,
) -> float:
    """The form of a row: its whole loss times (1 - p_gt)^gamma."""
    total = 0.0
    for logits, targets in ((i2t, target_i2t), (t2i, target_t2i)):
        for row, y, known in zip(_rows(logits), _rows(targets), positive.tolist(), strict=True):
            log_p = log_softmax(row)
            found = math.fsum(math.exp(c) for c, k in zip(log_p, known, strict=True) if k)
            loss = -math.fsum(b * c for b, c in zip(y, log_p, strict=True))
            total += (1 - found) ** gamma * loss / len(logits) / 2
    return total


def itm(logits: Tensor, match: Tensor) -> float:
    losses = [-log_softmax(row)[m] for row, m in zip(_rows(logits), match.tolist(), strict=True)]
    return math.fsum(losses) / len(losses)


def mlm(
    logits: Tensor,
    labels: Tensor,
    teacher: Tensor | None = None,
    alpha: float = 0.0,
    ignore: int = -100,
) -> float:
    """(1 - alpha) CE(label) + alpha CE(teacher over the vocabulary), mean over predicted places."""
    losses = []
    for at, label in enumerate(labels.tolist()):
        if label == ignore:
            continue
        log_p = log_softmax(_rows(logits)[at])
        loss = -(1 - alpha) * log_p[label]
        if teacher is not None:
            belief = softmax(_rows(teacher)[at])
            loss -= alpha * math.fsum(q * lp for q, lp in zip(belief, log_p, strict=True))
        losses.append(loss)
    return math.fsum(losses) / max(len(losses), 1)


def grad_cam(attention: Tensor, gradient: Tensor) -> list[list[Row]]:
    """Mean over heads of map * relu(gradient), (B, H, L, N) twice to (B, L, N)."""
    batch, heads, words, tokens = attention.shape
    attention, gradient = attention.tolist(), gradient.tolist()
    return [
        [
            [
                math.fsum(
                    attention[b][h][w][n] * max(gradient[b][h][w][n], 0.0) for h in range(heads)
                )
                / heads
                for n in range(tokens)
            ]
            for w in range(words)
        ]
        for b in range(batch)
    ]


def min_max(patches: Sequence[float]) -> Row:
    low, high = min(patches), max(patches)
    return [(x - low) / (high - low) if high > low else 0.0 for x in patches]


def over_max(patches: Sequence[float]) -> Row:
    return [x / max(patches) if max(patches) > 0 else 0.0 for x in patches]


def soft_mask(patches: Sequence[float]) -> Row:
    """1 for the class token, then 1 - the normalised map."""
    return [1.0, *(1 - x for x in patches)]


def masked_projection(tokens: Tensor, factors: Tensor, weight: Tensor, bias: Tensor) -> list:
    """Fade each token, then project it: W (c v) + b, (B, N, D) to (B, N, out)."""
    return [
        [
            [
                math.fsum(w * (factor * v) for w, v in zip(row, token, strict=True)) + b
                for row, b in zip(_rows(weight), bias.tolist(), strict=True)
            ]
            for token, factor in zip(image, keep, strict=True)
        ]
        for image, keep in zip(tokens.tolist(), _rows(factors), strict=True)
    ]


def recall_at_k(scores: Tensor, correct: Tensor, k: int) -> float:
    """Sort, wrong ones first where scores tie, and look for a correct one among the first k."""
    hits = 0
    for row, right in zip(_rows(scores), correct.tolist(), strict=True):
        order = sorted(range(len(row)), key=lambda i: (-row[i], right[i]))
        hits += any(right[i] for i in order[:k])
    return hits / len(scores)


def _both(
    row_loss: Callable[[Row, Row], float],
    i2t: Tensor,
    t2i: Tensor,
    target_i2t: Tensor,
    target_t2i: Tensor,
) -> float:
    total = 0.0
    for logits, target in ((i2t, target_i2t), (t2i, target_t2i)):
        losses = [
            row_loss(log_softmax(x), y) for x, y in zip(_rows(logits), _rows(target), strict=True)
        ]
        total += math.fsum(losses) / len(losses)
    return total / 2


def _rows(matrix: Tensor) -> list[Row]:
    return matrix.detach().tolist()
