"""Attention: the fused kernel and the spelled-out map agree; faded keys are exact."""

import pytest
import reference
import torch
from tiny import draw, shake

from softmask.errors import InputError
from softmask.nn.attention import (
    CrossAttention,
    SelfAttention,
    attend,
    attend_with_map,
    check_heads,
    pick_positions,
    soft_mask_kv,
    split_heads,
)


def heads(seed, length=4, dtype=torch.float64):
    return draw(2, 3, length, 5, seed=seed, dtype=dtype)


def slow_attention(query, key, value, readable):
    """One query at a time: softmax of scaled products over readable keys, heads side by side."""
    rows, count, length, width = query.shape
    out = torch.zeros(rows, length, count * width, dtype=query.dtype)
    for r in range(rows):
        for h in range(count):
            for q in range(length):
                scores = [
                    float(query[r, h, q] @ key[r, h, k]) / width**0.5
                    for k in range(key.shape[2])
                    if readable[r][k]
                ]
                values = [value[r, h, k] for k in range(key.shape[2]) if readable[r][k]]
                mixed = sum(p * v for p, v in zip(reference.softmax(scores), values, strict=True))
                out[r, q, h * width : (h + 1) * width] = mixed
    return out


def test_fused_attention_equals_loops_under_a_mask():
    query, key, value = heads(0), heads(1, 6), heads(2, 6)
    mask = torch.arange(6) < torch.tensor([6, 3])[:, None]
    got = attend(query, key, value, mask[:, None, None])
    torch.testing.assert_close(got, slow_attention(query, key, value, mask.tolist()))


def test_spelled_out_attention_equals_loops_and_gives_its_map():
    query, key, value = (heads(i, n, torch.float32) for i, n in enumerate((4, 6, 6)))
    mixed, attention = attend_with_map(query, key, value)
    everything = torch.ones(2, 6).bool().tolist()
    torch.testing.assert_close(mixed, slow_attention(query, key, value, everything))
    assert attention.shape == (2, 3, 4, 6)
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(2, 3, 4))
    again = (attention @ value).transpose(1, 2).flatten(2)
    torch.testing.assert_close(again, mixed)


def test_pick_positions_reads_flattened_places():
    states = draw(2, 3, 4)
    at = torch.tensor([0, 4, 2, 4])
    picked = pick_positions(states, at)
    assert picked.shape == (4, 4)
    for row, place in zip(picked, at.tolist(), strict=True):
        assert torch.equal(row, states[place // 3, place % 3])


def test_both_attentions_have_the_same_gradient():
    given = [heads(i, n, torch.float32).requires_grad_() for i, n in enumerate((4, 6, 6))]
    weight = draw(2, 4, 15, seed=9, dtype=torch.float32)
    fused = torch.autograd.grad((attend(*given) * weight).sum(), given)
    spelled = torch.autograd.grad((attend_with_map(*given)[0] * weight).sum(), given)
    for a, b in zip(fused, spelled, strict=True):
        torch.testing.assert_close(a, b)


def test_map_is_float32_in_half_precision():
    mixed, attention = attend_with_map(*(heads(i, dtype=torch.bfloat16) for i in range(3)))
    assert attention.dtype == torch.float32
    assert mixed.dtype == torch.bfloat16


def test_split_heads_is_a_view_of_neighbouring_units():
    states = draw(2, 4, 6)
    split = split_heads(states, 3)
    assert split.data_ptr() == states.data_ptr()
    assert torch.equal(split[1, 2, 3], states[1, 3, 4:6])


def test_faded_keys_equal_projecting_faded_tokens():
    tokens, keep = draw(2, 4, 3), draw(2, 4, seed=1).sigmoid()
    weight, bias = draw(6, 3, seed=2), draw(6, seed=3)
    kv = tokens @ weight.T + bias
    expected = reference.masked_projection(tokens, keep, weight, bias)
    got = soft_mask_kv(kv, keep, bias)
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_gradient_of_faded_keys_equals_that_of_faded_tokens():
    tokens, keep = draw(2, 4, 3), draw(2, 4, seed=1).sigmoid()
    weight, bias, out = draw(6, 3, seed=2), draw(6, seed=3), draw(2, 4, 6, seed=4)
    given = [x.requires_grad_() for x in (tokens, keep, weight, bias)]
    fast = soft_mask_kv(tokens @ weight.T + bias, keep, bias)
    slow = (keep[..., None] * tokens) @ weight.T + bias
    grads = [torch.autograd.grad((x * out).sum(), given) for x in (fast, slow)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
    kv = draw(1, 2, 6).requires_grad_()
    factors = draw(1, 2, seed=5).requires_grad_()
    assert torch.autograd.gradcheck(soft_mask_kv, (kv, factors, bias))


def test_factors_of_one_and_zero_leave_the_keys_or_their_bias():
    kv, bias = draw(2, 4, 6), draw(6, seed=3)
    whole = soft_mask_kv(kv, torch.ones(2, 4), bias)
    torch.testing.assert_close(whole, kv, rtol=0, atol=1e-15)
    assert torch.equal(soft_mask_kv(kv, torch.zeros(2, 4), bias), bias.expand(2, 4, 6))


def test_first_token_of_self_attention_is_that_of_the_whole():
    layer = shake(SelfAttention(6, 2).double())
    states, mask = draw(3, 5, 6), torch.arange(5) < torch.tensor([5, 2, 4])[:, None]
    first = layer(states, mask[:, None, None], first_only=True)
    assert first.shape == (3, 1, 6)
    torch.testing.assert_close(first, layer(states, mask[:, None, None])[:, :1])


def test_cross_attention_with_and_without_its_map_agree():
    layer = shake(CrossAttention(6, 2, image_width=8))
    states, image = draw(2, 5, 6, dtype=torch.float32), draw(2, 7, 8, dtype=torch.float32)
    kv = layer.project(image)
    assert kv.shape == (2, 7, 12)
    with_map, attention = layer.forward_with_map(states, kv)
    assert attention.shape == (2, 2, 5, 7)
    torch.testing.assert_close(with_map, layer(states, kv))


@pytest.mark.parametrize("layer", [SelfAttention(6, 2, 0.5), CrossAttention(6, 2, 6, 0.5)])
def test_dropout_works_in_training_alone(layer):
    shake(layer)
    states = draw(2, 5, 6, dtype=torch.float32)
    own = isinstance(layer, SelfAttention)
    other = torch.ones(1, 1, 1, 5).bool() if own else layer.project(states)
    assert torch.equal(layer(states, other), layer(states, other))
    torch.manual_seed(0)
    layer.train()
    assert not torch.equal(layer(states, other), layer(states, other))


@pytest.mark.parametrize("layer", [SelfAttention(6, 2, 0.5), CrossAttention(6, 2, 6, 0.5)])
def test_dropout_works_on_the_map_too(layer, monkeypatch):
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda states, *_: states)
    shake(layer).train()
    states = draw(2, 5, 6, dtype=torch.float32)
    own = isinstance(layer, SelfAttention)
    other = torch.ones(1, 1, 1, 5).bool() if own else layer.project(states)
    torch.manual_seed(0)
    assert not torch.equal(layer(states, other), layer(states, other))


def test_heads_must_divide_the_width():
    check_heads("text", 12, 3)
    for heads_ in (0, 5):
        with pytest.raises(InputError, match=f"text.width=12.*text.heads={heads_}"):
            check_heads("text", 12, heads_)
