"""Momentum twins: every parameter follows, nothing else changes."""

import pytest
import tiny
import torch

from softmask.momentum import Momentum
from softmask.nn import WordHead


def modules(seed=0):
    head = tiny.shake(WordHead(tiny.WIDTH, tiny.VOCAB), seed)
    return {"backbone": tiny.backbone(seed), "words": head}


def values(source):
    """Copies of all parameters by name, the temperature included."""
    parameters = torch.nn.ModuleDict(source).named_parameters()
    return {name: p.detach().clone() for name, p in parameters}


def moved(source, seed=1):
    with torch.no_grad():
        for place, p in enumerate(torch.nn.ModuleDict(source).parameters()):
            p.add_(tiny.draw(*p.shape, seed=seed * 777 + place, dtype=p.dtype))
    return source


def test_twins_start_equal_and_apart():
    source = modules()
    twins = Momentum(source)
    assert {n for n, _ in twins.twin.named_parameters()} == set(values(source))
    for name, start in values(source).items():
        assert torch.equal(twins.twin.get_parameter(name), start)
    before = values(twins.twin)
    moved(source)
    assert all(torch.equal(before[n], p) for n, p in twins.twin.named_parameters())


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.9, 0.995, 1.0])
def test_update_averages_every_parameter(momentum):
    source = modules()
    twins = Momentum(source, momentum)
    old, new = values(source), values(moved(source))
    assert all(not torch.equal(old[n], new[n]) for n in old)
    twins.update(source)
    for name, p in twins.twin.named_parameters():
        expected = momentum * old[name] + (1 - momentum) * new[name]
        torch.testing.assert_close(p, expected, rtol=1e-6, atol=1e-7, msg=name)
        if momentum in (0.0, 1.0):
            assert torch.equal(p, new[name] if momentum == 0 else old[name]), name
        else:
            assert not torch.equal(p, old[name]), name
    assert all(torch.equal(p, new[n]) for n, p in values(source).items())


def test_two_updates_remember_twice():
    source = modules()
    twins = Momentum(source, 0.9)
    old, new = values(source), values(moved(source))
    twins.update(source)
    twins.update(source)
    for name, p in twins.twin.named_parameters():
        torch.testing.assert_close(p, 0.81 * old[name] + 0.19 * new[name], rtol=1e-5, atol=1e-6)


def test_copy_from_makes_equal():
    source = modules()
    twins = Momentum(source, 0.9)
    twins.copy_from(moved(source))
    assert all(torch.equal(p, values(source)[n]) for n, p in twins.twin.named_parameters())


def test_storage_stays_where_it_was():
    source = modules()
    twins = Momentum(source, 0.5)
    before = [p.data_ptr() for p in twins.parameters()]
    twins.update(moved(source))
    twins.copy_from(source)
    assert [p.data_ptr() for p in twins.parameters()] == before
    own = {p.data_ptr() for m in source.values() for p in m.parameters()}
    assert not own & set(before)


def test_no_gradient_reaches_a_twin():
    source = modules()
    twins = Momentum(source, 0.5)
    states, mask = torch.ones(2, 3, dtype=torch.long), torch.ones(2, 3, dtype=torch.bool)
    assert not twins.twin["backbone"].text(states, mask).requires_grad
    for module in source.values():
        for p in module.parameters():
            p.grad = torch.ones_like(p)
    twins.update(source)
    assert all(p.grad is None and not p.requires_grad for p in twins.parameters())
    assert all(p.requires_grad for m in source.values() for p in m.parameters())


def test_twins_follow_train_and_eval():
    twins = Momentum(modules())
    for mode in (True, False):
        twins.train(mode)
        assert {m.training for m in twins.twin.modules()} == {mode}


def test_twins_are_in_the_state_dict_under_the_names_of_their_modules():
    source = modules()
    state = Momentum(source).state_dict()
    assert set(state) == {f"twin.{n}" for n in torch.nn.ModuleDict(source).state_dict()}
