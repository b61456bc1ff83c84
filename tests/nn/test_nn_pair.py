"""The fusion encoder of two images: a plain loop as oracle, what is tied, what is swapped."""

import copy

import pytest
import tiny
import torch

from softmask.momentum import Momentum
from softmask.nn import FusionLayer, ImageKeys, PairFusion

WIDTH, TEXTS = tiny.WIDTH, 3
STATES = tiny.draw(TEXTS, 5, WIDTH)
LEFT, RIGHT = (tiny.draw(TEXTS, 6, WIDTH, seed=seed) for seed in (1, 2))
MASK = torch.arange(5) < torch.tensor([5, 3, 4])[:, None]


@pytest.fixture
def pair():
    """Two layers of one image make four, which differ after a shake."""
    made = tiny.shake(PairFusion(tiny.fusion(layers=2).double()))
    assert isinstance(made, PairFusion)
    return made


def fuse(pair, left=LEFT, right=RIGHT):
    return pair(STATES, MASK, pair.project(torch.cat([left, right])))


def loop(layers, left, right):
    """Text by text without padding, layer by layer; the images in turn."""
    fused = torch.zeros_like(STATES)
    for row in range(TEXTS):
        length = int(MASK[row].sum())
        states = STATES[row : row + 1, :length]
        for number, layer in enumerate(layers):
            assert isinstance(layer, FusionLayer)
            image = (left, right)[number % 2][row : row + 1]
            everything = torch.ones(1, 1, 1, length).bool()
            states = layer(states, everything, layer.image.project(image))
        fused[row, :length] = states[0]
    return fused


def test_pair_equals_a_plain_loop(pair):
    assert len(pair.layers) == 4
    torch.testing.assert_close(fuse(pair)[MASK], loop(pair.layers, LEFT, RIGHT)[MASK])
    keys = pair.project(torch.cat([LEFT, RIGHT]))
    torch.testing.assert_close(pair.first_token(STATES, MASK, keys), fuse(pair)[:, 0])


def test_swapped_images_are_another_question(pair):
    assert (fuse(pair) - fuse(pair, RIGHT, LEFT)).abs().amax(dim=(1, 2)).min() > 1e-3


def test_fresh_layers_ask_both_images_the_same():
    """Right after it is made, the right layer is a copy of the left one."""
    single = tiny.shake(tiny.fusion(layers=2).double())
    made = PairFusion(single).eval()
    for number, layer in enumerate(single.layers):
        for side in (0, 1):
            copied = made.layers[2 * number + side].state_dict()
            assert all(v.equal(copied[name]) for name, v in layer.state_dict().items())
    one = loop([single.layers[0], single.layers[0], single.layers[1], single.layers[1]], LEFT, LEFT)
    torch.testing.assert_close(fuse(made, LEFT, LEFT)[MASK], one[MASK])


def test_keys_and_values_are_one_and_all_else_is_free(pair):
    names = {name for name, _ in pair.named_parameters()}  # shared ones once, by their first name
    assert set(pair.state_dict()) - names == {
        f"layers.{right}.image.kv.{kind}" for right in (1, 3) for kind in ("weight", "bias")
    }
    for left, right in ((0, 1), (2, 3)):
        one, two = (pair.layers[n].state_dict() for n in (left, right))
        equal = {name for name in one if one[name].equal(two[name])}
        assert equal == {"image.kv.weight", "image.kv.bias"}


def test_gradient_of_what_is_tied_is_the_sum_of_both(pair):
    free = copy.deepcopy(pair)
    for right in (1, 3):
        free.layers[right].image.kv = copy.deepcopy(free.layers[right].image.kv)
    each = [layer.image.project((LEFT, RIGHT)[n % 2]) for n, layer in enumerate(free.layers)]
    fused = free(STATES, MASK, ImageKeys(tuple(each)))
    weights = tiny.draw(*fused.shape, seed=9)
    (fused * weights).sum().backward()
    (fuse(pair) * weights).sum().backward()
    for left in (0, 2):
        for kind in ("weight", "bias"):
            both = [free.layers[n].image.kv.get_parameter(kind).grad for n in (left, left + 1)]
            tied = pair.layers[left].image.kv.get_parameter(kind).grad
            torch.testing.assert_close(tied, both[0] + both[1])
            assert min(one.abs().max() for one in both) > 1e-6
    for name, parameter in pair.named_parameters():
        if ".kv." not in name:
            torch.testing.assert_close(parameter.grad, free.get_parameter(name).grad)


def test_chosen_images_are_projected_once_whatever_the_pairs(pair):
    images = torch.cat([LEFT, RIGHT])[:4]
    left, right = torch.tensor([0, 3, 2]), torch.tensor([1, 1, 0])
    seen = []
    for layer in pair.layers[::2]:
        layer.image.kv.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    keys = pair.project_chosen(images, left, right)
    assert seen == [4, 4]
    slow = pair.project(torch.cat([images[left], images[right]]))
    for one, two in zip(keys.layers, slow.layers, strict=True):
        torch.testing.assert_close(one, two)


def test_copies_and_twins_stay_tied(pair):
    twins = Momentum({"fusion": pair}, momentum=0.5)
    before = copy.deepcopy(pair)
    tiny.shake(pair, seed=5)
    twins.update({"fusion": pair})
    twin = twins.twin["fusion"]
    for right in (1, 3):
        assert twin.layers[right].image.kv is twin.layers[right - 1].image.kv
    for name, value in twin.state_dict().items():
        mean = (before.state_dict()[name] + pair.state_dict()[name]) / 2
        torch.testing.assert_close(value, mean)  # moved once, not once for each name


def test_a_pair_is_one_level(pair):
    levels = pair.levels()
    assert len(levels) == 2
    held = [{id(p) for p in level} for level in levels]
    assert not held[0] & held[1]
    assert held[0] | held[1] == {id(p) for p in pair.parameters()}
