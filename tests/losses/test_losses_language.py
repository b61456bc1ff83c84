"""Masked language modelling against its equation, distillation over the vocabulary included."""

import pytest
import reference
import torch
from tiny import draw

from softmask.batch import IGNORE
from softmask.losses import mlm, next_words

LABELS = torch.tensor([3, IGNORE, 0, 6, IGNORE])


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_mlm_equals_its_equation(alpha):
    logits, teacher = draw(5, 7) * 3, draw(5, 7, seed=1) * 3
    expected = reference.mlm(logits, LABELS, teacher, alpha)
    assert mlm(logits, LABELS, teacher, alpha).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_gradient_of_mlm(alpha):
    teacher = draw(5, 7, seed=1)
    logits = draw(5, 7).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: mlm(x, LABELS, teacher, alpha), (logits,))


def test_without_a_share_of_the_teacher_it_is_cross_entropy():
    logits, teacher = draw(5, 7), draw(5, 7)
    plain = mlm(logits, LABELS)
    assert torch.equal(mlm(logits, LABELS, teacher, 0.0), plain)
    assert torch.equal(mlm(logits, LABELS, teacher, torch.tensor(0.0)), plain)
    expected = torch.nn.functional.cross_entropy(logits, LABELS, ignore_index=IGNORE)
    assert plain.item() == pytest.approx(expected.item(), abs=1e-12)


def test_teacher_gets_no_gradient_and_agreement_gives_none():
    teacher = draw(5, 7).requires_grad_()
    logits = teacher.detach().clone().requires_grad_()
    mlm(logits, LABELS, teacher, 1.0).backward()
    assert teacher.grad is None
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), rtol=0, atol=1e-15)


def test_what_is_ignored_weighs_nothing():
    logits = draw(5, 7)
    other = torch.where((LABELS == IGNORE)[:, None], draw(5, 7, seed=9) * 50, logits)
    teacher = draw(5, 7, seed=1)
    assert torch.equal(mlm(logits, LABELS, teacher, 0.4), mlm(other, LABELS, teacher, 0.4))


def test_nothing_to_predict_is_zero_with_zero_gradient():
    logits = draw(3, 7).requires_grad_()
    loss = mlm(logits, torch.full((3,), IGNORE), draw(3, 7, seed=1), 0.4)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_mean_count_makes_two_ranks_equal_one():
    logits, teacher = draw(5, 7), draw(5, 7, seed=1)
    whole = mlm(logits, LABELS, teacher, 0.4)
    parts = (slice(0, 2), slice(2, 5))  # one label here, two there
    count = torch.tensor(3 / 2)
    ranks = [mlm(logits[p], LABELS[p], teacher[p], 0.4, count) for p in parts]
    assert (sum(ranks) / 2).item() == pytest.approx(whole.item(), abs=1e-12)


def test_next_words_sum_an_answer_and_divide_by_questions():
    logits, teacher = draw(3, 4, 6), draw(3, 4, 6, seed=1)
    labels = torch.tensor([[1, 2, IGNORE, IGNORE], [0, 5, 3, 4], [3, IGNORE, IGNORE, IGNORE]])
    weight = torch.tensor([0.7, 0.3, 0.5], dtype=torch.float64)
    expected = 0.0
    for row in range(3):
        for place, label in enumerate(labels[row].tolist()):
            if label == IGNORE:
                continue
            log_p = (logits[row, place].exp() / logits[row, place].exp().sum()).log()
            belief = teacher[row, place].exp() / teacher[row, place].exp().sum()
            soft = -sum(belief[v] * log_p[v] for v in range(6))
            expected += weight[row] * (0.6 * -log_p[label] + 0.4 * soft) / 2
    loss = next_words(logits, labels, weight, 2, teacher, 0.4)
    torch.testing.assert_close(loss, expected)
    hard = next_words(logits, labels, weight, 2)
    torch.testing.assert_close(hard, next_words(logits, labels, weight, 2, teacher, 0.0))
    assert not torch.isclose(hard, loss)
