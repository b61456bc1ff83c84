"""Soft masks: Grad-CAM of the matching logit, its scale-free normalisation, the factors."""

import pytest
import reference
import tiny
import torch

from softmask.nn import Matcher
from softmask.saliency import (
    choose_words,
    empty_share,
    grad_cam,
    merge_pieces,
    normalise_map,
    soft_mask,
    word_maps,
)


@pytest.fixture
def scene():
    """A fusion encoder, a matching head, texts of two lengths and the keys of two images."""
    torch.manual_seed(0)
    fusion = tiny.shake(tiny.fusion(layers=3))
    matcher = tiny.shake(Matcher(tiny.WIDTH), seed=1, by=1.0)
    states = tiny.draw(2, 5, tiny.WIDTH, dtype=torch.float32)
    tokens = tiny.draw(2, 4, tiny.WIDTH, seed=1, dtype=torch.float32)
    mask = torch.arange(5) < torch.tensor([5, 3])[:, None]
    return fusion, matcher, states, mask, tokens


def tail(scene, at=1, scale=1.0):
    """What the task hands over: the logit and the map, from detached states."""
    fusion, matcher, states, mask, tokens = scene

    def compute():
        keys = fusion.project(tokens)
        early = fusion(states, mask, keys, stop=at)
        first, attention = fusion.first_token_with_map(early.detach(), mask, keys.detach(), at)
        return scale * matcher(first)[:, 1], attention

    return compute


def test_grad_cam_is_the_mean_over_heads_of_map_times_positive_gradient():
    attention, gradient = tiny.draw(2, 3, 4, 5).softmax(dim=-1), tiny.draw(2, 3, 4, 5, seed=1)
    expected = torch.tensor(reference.grad_cam(attention, gradient), dtype=torch.float64)
    torch.testing.assert_close(grad_cam(attention, gradient), expected)
    inputs = (attention.requires_grad_(), gradient.requires_grad_())
    assert torch.autograd.gradcheck(grad_cam, inputs)


def test_word_maps_hold_the_gradient_of_a_full_backward_pass(scene):
    fusion, matcher, states, mask, tokens = scene
    maps = word_maps(tail(scene))
    keys = fusion.project(tokens)
    early = fusion(states.requires_grad_(), mask, keys, stop=1)
    x, attention = fusion.layers[1].forward_with_map(early, mask[:, None, None], keys.layers[1])
    attention.retain_grad()
    x = fusion(x, mask, keys, start=2)
    matcher(x[:, 0])[:, 1].sum().backward()
    assert attention.grad.abs().max() > 1e-4
    torch.testing.assert_close(maps.attention, attention.detach())
    torch.testing.assert_close(maps.gradient, attention.grad, rtol=1e-4, atol=1e-8)
    expected = torch.tensor(reference.grad_cam(attention, attention.grad))
    torch.testing.assert_close(maps.cam, expected, rtol=1e-4, atol=1e-8)


def test_word_maps_leave_no_gradient_and_no_graph(scene):
    maps = word_maps(tail(scene))
    assert all(p.grad is None for module in scene[:2] for p in module.parameters())
    assert not any(x.requires_grad for x in maps)
    assert all(x.dtype == torch.float32 for x in maps)


def test_word_maps_work_where_gradients_are_off(scene):
    expected = word_maps(tail(scene))
    with torch.no_grad():
        under_no_grad = word_maps(tail(scene))
    with torch.inference_mode():
        under_inference = word_maps(tail(scene))
    for maps in (under_no_grad, under_inference):
        assert all(torch.equal(a, b) for a, b in zip(maps, expected, strict=True))


def test_word_maps_serve_tokens_made_in_inference_mode_when_cloned(scene):
    fusion, matcher, states, mask, tokens = scene
    with torch.inference_mode():
        made = tokens * 1.0

        def compute():
            return tail((fusion, matcher, states, mask, made.clone()))()

        maps = word_maps(compute)
    assert torch.equal(maps.cam, word_maps(tail(scene)).cam)


def test_gradient_survives_half_precision():
    def compute():
        attention = torch.ones(1, 1, 1, 2, dtype=torch.float16, requires_grad=True)
        return (attention * 2.0**-13 * 2.0**-13).sum(dim=(1, 2, 3)), attention

    # 2^-26 is below half precision's smallest number.
    assert word_maps(compute).gradient.tolist() == [[[[2.0**-26, 2.0**-26]]]]


@pytest.mark.parametrize("scale", [1e-20, 1e-6, 1e20])
def test_mask_does_not_depend_on_the_scale_of_the_score(scene, scale):
    words = torch.tensor([[1, 2], [2, 1]])

    def mask_of(maps):
        return soft_mask(normalise_map(choose_words(maps.cam, words)))

    plain = mask_of(word_maps(tail(scene)))
    assert plain.min() == 0
    torch.testing.assert_close(mask_of(word_maps(tail(scene, scale=scale))), plain)


@pytest.mark.parametrize("by_max", [False, True])
@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1.0, 1e20, 1e37])
def test_normalised_maps_do_not_depend_on_scale(scale, by_max):
    patches = tiny.draw(4, 9, dtype=torch.float32).clamp_min(0)
    plain = normalise_map(patches, by_max)
    torch.testing.assert_close(normalise_map(patches * scale, by_max), plain)
    assert plain.max() == 1


def test_normalised_maps_equal_their_equations():
    patches = tiny.draw(3, 2, 7).abs()
    for by_max, slow in ((False, reference.min_max), (True, reference.over_max)):
        expected = [[slow(row) for row in image] for image in patches.tolist()]
        got = normalise_map(patches, by_max)
        torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64))
        assert got.min() >= 0
        assert got.max() <= 1
    assert torch.autograd.gradcheck(normalise_map, (patches.requires_grad_(),))


@pytest.mark.parametrize("value", [0.0, 1e-38, 0.3, 1e30])
def test_map_that_is_equal_everywhere_masks_nothing(value):
    patches = torch.full((2, 6), value)
    assert torch.equal(normalise_map(patches), torch.zeros(2, 6))
    by_max = torch.zeros(2, 6) if value == 0 else torch.ones(2, 6)
    assert torch.equal(normalise_map(patches, by_max=True), by_max)


def test_one_empty_map_leaves_the_others_alone():
    patches = torch.stack([torch.zeros(4), torch.tensor([0.0, 1, 2, 4])])
    assert normalise_map(patches).tolist() == [[0, 0, 0, 0], [0, 0.25, 0.5, 1]]


def test_soft_mask_keeps_the_class_token_and_fades_what_the_word_saw():
    maps = normalise_map(tiny.draw(2, 3, 6).abs())
    keep = soft_mask(maps)
    expected = [[reference.soft_mask(row) for row in image] for image in maps.tolist()]
    assert torch.equal(keep, torch.tensor(expected, dtype=torch.float64))
    assert keep.min() == 0
    assert keep.max() == 1
    assert torch.equal(keep[..., 0], torch.ones(2, 3, dtype=torch.float64))


def test_choose_words_takes_the_rows_of_words_without_the_class_column():
    cam, words = tiny.draw(2, 4, 6), torch.tensor([[3, 1, 1], [0, 2, 3]])
    chosen = choose_words(cam, words)
    assert chosen.shape == (2, 3, 5)
    for b in range(2):
        for s in range(3):
            assert torch.equal(chosen[b, s], cam[b, words[b, s], 1:])


def test_empty_share_counts_maps_that_hold_nothing():
    patches = torch.tensor([[[0.0, 1e-7], [0.0, 1e-3]], [[0.0, 0.0], [1.0, 0.0]]])
    assert empty_share(patches).item() == 0.5


def test_merged_pieces_are_the_mean_of_their_maps_without_the_class_token():
    cam = tiny.draw(2, 4, 6).abs()
    pieces = torch.tensor([[[0, 1, 1, 0], [0, 0, 0, 1]], [[1, 0, 0, 0], [1, 1, 1, 1]]]).bool()
    merged = merge_pieces(cam, pieces)
    torch.testing.assert_close(merged[0, 0], (cam[0, 1] + cam[0, 2])[1:] / 2)
    torch.testing.assert_close(merged[1, 1], cam[1].mean(dim=0)[1:])
    alone = torch.eye(4).bool().expand(2, -1, -1)
    assert torch.equal(merge_pieces(cam, alone), choose_words(cam, torch.arange(4).expand(2, -1)))
