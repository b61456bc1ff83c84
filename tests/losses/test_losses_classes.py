"""Distilled cross-entropy of classes: a plain loop, its limits, rows without a label."""

import math

import pytest
import tiny
import torch
from torch.nn import functional as F

from softmask.batch import IGNORE
from softmask.losses import distilled_answers, distilled_cross_entropy

LOGITS, TEACHER = tiny.draw(5, 3), 2 * tiny.draw(5, 3, seed=1)
LABELS = torch.tensor([2, 0, IGNORE, 1, 1])


def slow(logits, labels, teacher, alpha):
    losses = []
    for row, label in enumerate(labels.tolist()):
        if label == IGNORE:
            continue
        p, q = (
            [math.exp(x) / sum(map(math.exp, r)) for x in r]
            for r in (logits[row].tolist(), teacher[row].tolist())
        )
        hard = -math.log(p[label])
        soft = -sum(b * math.log(a) for a, b in zip(p, q, strict=True))
        losses.append((1 - alpha) * hard + alpha * soft)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_loss_equals_a_plain_loop(alpha):
    loss = distilled_cross_entropy(LOGITS, LABELS, TEACHER, alpha)
    assert loss.item() == pytest.approx(slow(LOGITS, LABELS, TEACHER, alpha), rel=1e-12)


def test_without_teacher_it_is_cross_entropy():
    expected = F.cross_entropy(LOGITS, LABELS, ignore_index=IGNORE)
    torch.testing.assert_close(distilled_cross_entropy(LOGITS, LABELS), expected)


def test_the_teacher_gets_no_gradient_and_unlabelled_rows_give_none():
    logits, teacher = LOGITS.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    distilled_cross_entropy(logits, LABELS, teacher, 0.4).backward()
    assert teacher.grad is None
    assert logits.grad[2].eq(0).all()
    assert logits.grad[[0, 1, 3, 4]].abs().amax(dim=1).min() > 0


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_answers_are_judged_each_by_itself(alpha):
    targets = tiny.draw(5, 3, seed=2).sigmoid()
    expected = 0.0
    for x, t, y in zip(LOGITS.flatten(), TEACHER.flatten(), targets.flatten(), strict=True):
        wanted = (1 - alpha) * y + alpha / (1 + math.exp(-t))
        expected -= wanted * math.log(1 / (1 + math.exp(-x)))
        expected -= (1 - wanted) * math.log(1 / (1 + math.exp(x)))
    loss = distilled_answers(LOGITS, targets, TEACHER, alpha)
    torch.testing.assert_close(loss, expected / 5)
