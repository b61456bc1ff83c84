"""Focal ITC against its equations, and the properties that hold whatever the numbers."""

import pytest
import reference
import torch
from tiny import draw
from torch.nn import functional as F

from softmask.losses import focal_itc, itc, similarity, soft_targets

GAMMAS = (0.0, 0.5, 1.0, 2.0, 3.0)
POSITIVE = torch.eye(3, 5, dtype=torch.bool)
SEVERAL = torch.tensor([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 0, 1, 1, 1]]).bool()


def softened(seed=5, alpha=0.4, positive=POSITIVE):
    """Logits of both directions and soft targets, (3, 5)."""
    logits = [draw(3, 5, seed=seed + i) * 3 for i in range(2)]
    targets = [soft_targets(draw(3, 5, seed=seed + 2 + i), positive, alpha) for i in range(2)]
    return *logits, *targets


def test_similarity_is_cosine_over_temperature():
    a, b = F.normalize(draw(3, 4), dim=1), F.normalize(draw(5, 4, seed=1), dim=1)
    expected = torch.tensor(reference.similarity(a, b, 0.07), dtype=torch.float64)
    torch.testing.assert_close(similarity(a, b, torch.tensor(0.07, dtype=torch.float64)), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_similarity_is_float32_whatever_the_precision_around_it(dtype):
    a, b = (F.normalize(draw(3, 64, seed=i), dim=1).to(dtype) for i in range(2))
    temperature = torch.tensor(0.01)
    expected = a.float() @ b.float().T / 0.01
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = similarity(a, b, temperature)
        assert (a.float() @ b.float().T).dtype == torch.bfloat16
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected)


def test_gradient_of_similarity():
    a, b = draw(2, 3).requires_grad_(), draw(4, 3, seed=1).requires_grad_()
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(similarity, (a, b, temperature))


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_soft_targets_with_several_positives_a_row(alpha):
    teacher = (draw(3, 5) * 4).requires_grad_()
    positive = torch.tensor([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [1, 1, 1, 0, 1]]).bool()
    got = soft_targets(teacher, positive, alpha)
    expected = torch.tensor(reference.soft_targets(teacher, positive, alpha), dtype=torch.float64)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(got.sum(dim=1), torch.ones(3, dtype=torch.float64))
    assert not got.requires_grad


def test_alpha_zero_is_hard_targets():
    positive = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0]]).bool()
    got = soft_targets(draw(2, 4).float(), positive, 0.0)
    assert torch.equal(got, torch.tensor([[0.5, 0, 0, 0.5], [0, 1.0, 0, 0]]))


def test_soft_targets_of_half_precision_are_float32():
    positive = torch.eye(2, 4, dtype=torch.bool)
    teacher = (draw(2, 4) * 9).half()
    got = soft_targets(teacher, positive, 0.4)
    assert got.dtype == torch.float32
    assert torch.equal(got, soft_targets(teacher.float(), positive, 0.4))


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_per_term_form_equals_its_equation(gamma, detach):
    given = softened()
    expected = reference.focal_per_term(*given, gamma)
    assert focal_itc(*given, gamma=gamma, detach=detach).item() == pytest.approx(
        expected, abs=1e-12
    )


@pytest.mark.parametrize("gamma", GAMMAS)
def test_per_row_form_equals_its_equation(gamma):
    given = softened(positive=SEVERAL)
    expected = reference.focal_per_row(*given, SEVERAL, gamma)
    got = focal_itc(*given, gamma=gamma, positive=SEVERAL)
    assert got.item() == pytest.approx(expected, abs=1e-12)


def test_a_solved_row_with_several_positives_is_left_alone():
    solved = torch.where(SEVERAL, 20.0, -20.0).double()
    targets = soft_targets(solved, SEVERAL, 0.0)
    assert focal_itc(solved, solved, targets, targets, gamma=2.0, positive=SEVERAL).item() < 1e-9


@pytest.mark.parametrize("positive", [None, POSITIVE])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_gradient_of_focal_itc(gamma, positive):
    i2t, t2i, *targets = softened()

    def loss(a, b):
        return focal_itc(a, b, *targets, gamma=gamma, positive=positive)

    assert torch.autograd.gradcheck(loss, (i2t.requires_grad_(), t2i.requires_grad_()))


@pytest.mark.parametrize("positive", [None, POSITIVE])
def test_detached_factor_is_a_constant_weight(positive):
    i2t, t2i, target, other = softened()
    i2t.requires_grad_()
    loss = focal_itc(i2t, t2i, target, other, gamma=2.0, positive=positive, detach=True)
    (got,) = torch.autograd.grad(loss, i2t)
    p = i2t.detach().softmax(dim=1)
    solved = p if positive is None else (positive * p).sum(dim=1, keepdim=True)
    factor = (1 - solved) ** 2
    constant = -(factor * target * i2t.log_softmax(dim=1)).sum(dim=1).mean() / 2
    torch.testing.assert_close(got, torch.autograd.grad(constant, i2t)[0])


def test_gamma_zero_is_plain_itc():
    given = softened()
    plain = itc(*given)
    assert plain.item() == pytest.approx(reference.itc(*given), abs=1e-12)
    directions = [F.cross_entropy(a, b) for a, b in zip(given[:2], given[2:], strict=True)]
    assert plain.item() == pytest.approx(sum(directions).item() / 2, abs=1e-12)
    for positive in (None, POSITIVE):
        assert torch.equal(focal_itc(*given, gamma=0.0, positive=positive), plain)


def test_forms_coincide_for_one_hot_targets_alone():
    hard, soft = softened(alpha=0.0), softened(alpha=0.4)
    a, b = (focal_itc(*hard, gamma=2.0, positive=x).item() for x in (None, POSITIVE))
    assert a == pytest.approx(b, abs=1e-12)
    a, b = (focal_itc(*soft, gamma=2.0, positive=x).item() for x in (None, POSITIVE))
    assert a != pytest.approx(b, rel=1e-3)


def test_focus_dwells_on_pairs_that_are_not_solved():
    solved, open_ = torch.tensor([[9.0, 0, 0]]), torch.tensor([[0.0, 1, 0]])
    target = torch.tensor([[1.0, 0, 0]])
    shares = [
        focal_itc(x, x, target, target, gamma=2.0) / itc(x, x, target, target)
        for x in (solved, open_)
    ]
    assert shares[0] < 1e-5
    assert shares[1] > 0.5


@pytest.mark.parametrize("per_row", [False, True])
def test_order_of_the_batch_does_not_matter(per_row):
    i2t, t2i = (draw(4, 4, seed=i) for i in range(2))
    teacher, positive = draw(4, 4, seed=2), torch.eye(4, dtype=torch.bool)
    order = torch.tensor([2, 0, 3, 1])

    def mixed(x):
        return x[order][:, order]

    target = soft_targets(teacher, positive, 0.4)
    torch.testing.assert_close(soft_targets(mixed(teacher), positive, 0.4), mixed(target))
    known = positive if per_row else None  # this order leaves the diagonal where it is
    plain = focal_itc(i2t, t2i, target, target, gamma=2.0, positive=known)
    shuffled = focal_itc(*(mixed(x) for x in (i2t, t2i, target, target)), gamma=2.0, positive=known)
    assert shuffled.item() == pytest.approx(plain.item(), abs=1e-12)


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_gradient_is_finite_where_pairs_are_solved_completely(gamma, per_row):
    logits = torch.tensor([[1e4, 0.0, -1e4], [-1e4, 1e4, 0.0]], requires_grad=True)
    target = soft_targets(torch.zeros(2, 3), torch.eye(2, 3, dtype=torch.bool), 0.4)
    known = torch.eye(2, 3, dtype=torch.bool) if per_row else None
    for y in (target, torch.eye(2, 3)):
        loss = focal_itc(logits, logits, y, y, gamma=gamma, positive=known)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    logits = [(x * 20).to(dtype) for x in softened()[:2]]
    targets = softened()[2:]
    got = focal_itc(*logits, *(x.float() for x in targets), gamma=2.0)
    assert got.dtype == torch.float32
    expected = reference.focal_per_term(*(x.double() for x in logits), *targets, 2.0)
    assert got.item() == pytest.approx(expected, rel=1e-5)
