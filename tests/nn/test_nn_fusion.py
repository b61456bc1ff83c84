"""Fusion: parity with transformers' own layer, and its shortcuts equal the long way."""

import pytest
import tiny
import torch
from torch.nn import functional as F
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertLayer

from softmask.nn import FusionLayer, SeveralKeys, chunk_encoders
from softmask.renames import from_bert

WIDTH = tiny.WIDTH


@pytest.fixture
def fusion():
    return tiny.shake(tiny.fusion(layers=3).double())


@pytest.fixture
def mask():
    return torch.arange(5) < torch.tensor([5, 3, 4, 2])[:, None]


STATES = tiny.draw(4, 5, WIDTH)
TOKENS = tiny.draw(2, 6, WIDTH, seed=1)


def gradients(fusion, value):
    loss = (value * tiny.draw(*value.shape, seed=99)).sum()
    return torch.autograd.grad(loss, list(fusion.parameters()), allow_unused=True)


def assert_same(fusion, a, b):
    """Values and the gradients of all parameters."""
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    for x, y in zip(gradients(fusion, a), gradients(fusion, b), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-11)


def test_layer_equals_transformers_bert_layer_with_cross_attention():
    config = BertConfig(
        hidden_size=WIDTH,
        num_attention_heads=2,
        intermediate_size=24,
        is_decoder=True,
        add_cross_attention=True,
    )
    config._attn_implementation = "eager"
    theirs = tiny.shake(BertLayer(config))
    named = {f"encoder.layer.3.{name}": value for name, value in theirs.state_dict().items()}
    place = "backbone.fusion.layers.0."
    ours = FusionLayer(WIDTH, heads=2, hidden=24, image_width=WIDTH).eval()
    renamed = from_bert(named, layers=3)
    ours.load_state_dict({name.removeprefix(place): value for name, value in renamed.items()})
    states, tokens = STATES[:2].float(), TOKENS.float()
    mask = torch.arange(5) < torch.tensor([5, 3])[:, None]
    added = torch.zeros(2, 1, 5, 5).masked_fill(~mask[:, None, None], -1e9)
    expected = theirs(states, added, encoder_hidden_states=tokens)
    got = ours(states, mask[:, None, None], ours.image.project(tokens))
    assert (got - expected).abs().max() < 1e-6
    got, attention = ours.forward_with_map(states, mask[:, None, None], ours.image.project(tokens))
    assert (got - expected).abs().max() < 1e-6
    assert attention.shape == (2, 2, 5, 6)


def test_first_token_equals_the_whole_pass(fusion, mask):
    keys = fusion.project(TOKENS)
    whole = fusion(STATES, mask, keys)[:, 0]
    assert_same(fusion, fusion.first_token(STATES, mask, fusion.project(TOKENS)), whole)


def test_first_token_computes_no_other_in_the_last_layer(fusion, mask):
    lengths = []
    for layer in fusion.layers:
        layer.feed.up.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[1]))
    fusion.first_token(STATES, mask, fusion.project(TOKENS))
    assert lengths == [5, 5, 1]


@pytest.mark.parametrize("start", [1, 2, 3])
def test_first_token_goes_on_from_any_layer(fusion, mask, start):
    keys = fusion.project(TOKENS)
    early = fusion(STATES, mask, keys, stop=start)
    torch.testing.assert_close(
        fusion.first_token(early, mask, keys, start), fusion(STATES, mask, keys)[:, 0]
    )


@pytest.mark.parametrize("start", [0, 2, 3])
def test_places_alone_equal_the_whole_pass(fusion, mask, start):
    at = torch.tensor([0, 7, 7, 15, 3])  # of 20; a place may be asked for twice
    seen = torch.arange(6) < torch.tensor([6, 4])[:, None]

    def late(shown, at=None):
        keys = fusion.project(TOKENS)
        early = fusion(STATES, mask, keys, stop=start)
        return fusion(early, mask, keys, start, image_mask=shown, at=at)

    for shown in (None, seen):
        whole = late(shown)
        picked = torch.stack([whole[n // 5, n % 5] for n in at.tolist()])
        assert_same(fusion, late(shown, at), picked)


@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize("several", [False, True])
def test_places_alone_in_chunks_are_those_of_one_pass(fusion, mask, rows, several):
    at = torch.tensor([0, 7, 7, 15, 3])

    def late():
        keys = fusion.project(TOKENS)
        return fusion(STATES, mask, SeveralKeys((keys, keys), (2, 2)) if several else keys, at=at)

    plain = late()
    chunk_encoders(fusion, rows)
    assert_same(fusion, late(), plain)


def test_places_alone_are_finished_in_the_last_layer(fusion, mask):
    sizes = []
    for layer in fusion.layers:
        layer.feed.up.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[:2]))
    fusion(STATES, mask, fusion.project(TOKENS), at=torch.tensor([3, 8]))
    assert sizes == [(4, 5), (4, 5), (2, 1)]


def test_passes_compose(fusion, mask):
    keys = fusion.project(TOKENS)
    parts = fusion(STATES, mask, keys, stop=1)
    parts = fusion(parts, mask, keys, start=1, stop=2)
    assert not torch.allclose(parts, fusion(STATES, mask, keys))
    assert torch.equal(fusion(parts, mask, keys, start=2), fusion(STATES, mask, keys))


def test_runs_of_texts_on_one_image_equal_repeated_images(fusion, mask):
    repeated = TOKENS[torch.tensor([0, 0, 1, 1])]
    one_each = fusion(STATES, mask, fusion.project(repeated))
    assert_same(fusion, fusion(STATES, mask, fusion.project(TOKENS)), one_each)
    keys = fusion.project(TOKENS)
    torch.testing.assert_close(fusion(STATES, mask, keys.repeat(2)), one_each)
    torch.testing.assert_close(
        fusion(STATES, mask, keys.pick(torch.tensor([0, 0, 1, 1]))), one_each
    )
    first = fusion.first_token(STATES, mask, keys)
    torch.testing.assert_close(first, one_each[:, 0])


def test_several_sets_of_images_in_one_pass_equal_passes_of_their_own(fusion, mask):
    """Two images with two texts each, then both again in another order with one text each."""
    chosen = torch.tensor([1, 0])
    rows, row_mask = torch.cat([STATES, STATES[1:3]]), torch.cat([mask, mask[1:3]])

    def keys():
        own = fusion.project(TOKENS)
        return own, own.pick(chosen)

    for run in (fusion, fusion.first_token):
        own, again = keys()
        apart = [run(STATES, mask, own), run(STATES[1:3], mask[1:3], again)]
        merged = run(rows, row_mask, SeveralKeys(keys(), (4, 2)))
        assert_same(fusion, merged, torch.cat(apart))
        assert not torch.allclose(merged[4:], run(STATES[1:3], mask[1:3], keys()[0]))


def test_several_sets_share_every_product_but_those_with_images(fusion, mask):
    rows = []
    for part in ("words.qkv", "words.out", "image.query", "image.out", "feed.up", "feed.down"):
        layer = fusion.get_submodule(f"layers.0.{part}")
        layer.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    own = fusion.project(TOKENS)
    both = SeveralKeys((own, own), (4, 2))
    fusion(torch.cat([STATES, STATES[:2]]), torch.cat([mask, mask[:2]]), both)
    assert rows == [6] * 6


def test_an_image_reaches_its_own_texts_alone(fusion, mask):
    other = TOKENS.clone()
    other[1] += 1
    a, b = (fusion(STATES, mask, fusion.project(x)) for x in (TOKENS, other))
    torch.testing.assert_close(a[:2], b[:2])
    assert ((a[2:] - b[2:]).abs().amax(dim=(1, 2)) > 1e-3).all()


def test_first_token_with_map_is_the_same_pass(fusion, mask):
    fusion, states, tokens = fusion.float(), STATES.float(), tiny.draw(4, 6, WIDTH).float()
    keys = fusion.project(tokens)
    for at in range(3):
        early = fusion(states, mask, keys, stop=at)
        first, attention = fusion.first_token_with_map(early, mask, keys, at)
        torch.testing.assert_close(first, fusion(states, mask, keys)[:, 0])
        assert attention.shape == (4, 2, 5, 6)
        torch.testing.assert_close(attention.sum(dim=-1), torch.ones(4, 2, 5))


def test_soft_keys_equal_projecting_faded_tokens(fusion, mask):
    keep = tiny.draw(2, 6, seed=3).sigmoid()
    plain = fusion.project(TOKENS)
    soft, slow = fusion.soften(plain, keep), fusion.project(keep[..., None] * TOKENS)
    for a, b, c in zip(soft.layers, slow.layers, plain.layers, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
        assert not torch.allclose(a, c)
    assert_same(fusion, fusion(STATES, mask, soft), fusion(STATES, mask, slow))


def test_mask_of_zeros_is_the_plain_pass(fusion, mask):
    keys = fusion.project(TOKENS)
    soft = fusion.soften(keys, torch.ones(2, 6))
    assert (fusion(STATES, mask, soft) - fusion(STATES, mask, keys)).abs().max() < 1e-13


def test_attention_is_bidirectional(fusion):
    everything = torch.ones(4, 5).bool()
    other = STATES.clone()
    other[:, -1] += 1
    keys = fusion.project(TOKENS)
    a, b = (fusion(x, everything, keys)[:, 0] for x in (STATES, other))
    assert ((a - b).abs().amax(dim=1) > 1e-3).all()


def test_padding_never_changes_a_result(fusion, mask):
    keys = fusion.project(TOKENS)
    plain = fusion(STATES, mask, keys)
    longer = torch.cat([STATES, tiny.draw(4, 3, WIDTH, seed=8) * 100], dim=1)
    longer[:, :5][~mask] = -77.0
    padded = F.pad(mask, (0, 3))
    torch.testing.assert_close(fusion(longer, padded, keys)[:, :5][mask], plain[mask])
    torch.testing.assert_close(fusion.first_token(longer, padded, keys), plain[:, 0])


def test_detached_keys_hold_the_values_without_the_graph(fusion):
    keys = fusion.project(TOKENS)
    assert all(kv.requires_grad for kv in keys.layers)
    for a, b in zip(keys.detach().layers, keys.layers, strict=True):
        assert torch.equal(a, b)
        assert not a.requires_grad


def test_image_width_may_differ_from_the_text_width():
    fusion = tiny.FusionEncoder(width=16, layers=1, heads=2, image_width=10)
    keys = fusion.project(torch.zeros(2, 6, 10))
    assert [kv.shape for kv in keys.layers] == [(2, 6, 32)]
    states = fusion(torch.zeros(2, 3, 16), torch.ones(2, 3).bool(), keys)
    assert states.shape == (2, 3, 16)
