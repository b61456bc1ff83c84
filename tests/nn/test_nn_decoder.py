"""The answer decoder against transformers' causal BERT, and what each token may see."""

import pytest
import tiny
import torch
from transformers import BertConfig, BertLMHeadModel

from softmask.nn import AnswerDecoder
from softmask.renames import from_albef


@pytest.fixture
def decoder():
    return tiny.shake(AnswerDecoder.like(tiny.text_encoder(), tiny.fusion())).double()


@pytest.fixture
def given():
    states = tiny.draw(2, 7, tiny.WIDTH)
    seen = torch.arange(7) < torch.tensor([[7], [4]])
    ids, mask = tiny.texts([5, 3, 4, 1], seed=1)
    return states, seen, ids, mask


def test_equals_transformers(decoder, given):
    states, seen, ids, mask = given
    config = BertConfig(
        vocab_size=tiny.VOCAB,
        hidden_size=tiny.WIDTH,
        num_hidden_layers=tiny.LAYERS,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=tiny.LENGTH,
        is_decoder=True,
        add_cross_attention=True,
    )
    oracle = tiny.shake(BertLMHeadModel(config), seed=3).double()
    names = {f"text_decoder.{k}": v for k, v in oracle.state_dict().items()}
    renamed = {k.removeprefix("decoder."): v for k, v in from_albef(names, tiny.LAYERS).items()}
    decoder.load_state_dict(renamed)
    ours = decoder.logits(decoder(ids, mask, decoder.project(states), seen))
    with torch.no_grad():
        theirs = oracle(
            input_ids=ids,
            attention_mask=mask.long(),
            encoder_hidden_states=states.repeat_interleave(2, dim=0),
            encoder_attention_mask=seen.repeat_interleave(2, dim=0).long(),
            use_cache=False,
        ).logits
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours[mask], theirs[mask].float(), rtol=1e-5, atol=1e-5)


def test_is_as_large_as_the_encoders_it_starts_from():
    text, fusion = tiny.text_encoder(), tiny.fusion(layers=3, dropout=0.2)
    decoder = AnswerDecoder.like(text, fusion)
    own = {k: v.shape for k, v in decoder.fusion.state_dict().items()}
    assert own == {k: v.shape for k, v in fusion.state_dict().items()}
    embeddings = {k: v.shape for k, v in text.bert.embeddings.state_dict().items()}
    assert {k: v.shape for k, v in decoder.embeddings.state_dict().items()} == embeddings
    assert decoder.fusion.layers[0].feed.dropout == 0.2


def test_a_token_sees_itself_and_those_before(decoder, given):
    states, seen, ids, mask = given
    before = decoder(ids, mask, decoder.project(states), seen)
    changed = ids.clone()
    changed[0, 2] += 1
    after = decoder(changed, mask, decoder.project(states), seen)
    moved = (before - after).abs().amax(dim=2) > 1e-9
    assert moved[0].tolist() == [False, False, True, True, True]
    assert not moved[1:].any()


def test_padding_of_a_question_is_not_seen(decoder, given):
    states, seen, ids, mask = given
    before = decoder(ids, mask, decoder.project(states), seen)
    blurred = torch.where(seen[..., None], states, states + 3)
    assert torch.equal(decoder(ids, mask, decoder.project(blurred), seen), before)
    assert not torch.allclose(decoder(ids, mask, decoder.project(blurred)), before)
    short = decoder(ids[2:], mask[2:], decoder.project(states[1:, :4]), None)
    torch.testing.assert_close(before[2:], short)


def test_every_parameter_learns(decoder, given):
    states, seen, ids, mask = given
    decoder.logits(decoder(ids, mask, decoder.project(states), seen)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())
