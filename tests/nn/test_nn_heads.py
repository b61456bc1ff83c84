"""Heads: unit features, the order of the matching classes, the tied word head."""

import pytest
import tiny
import torch
from transformers import BertConfig, BertForMaskedLM

from softmask.losses import itm
from softmask.nn import ClassHead, Matcher, Projection, WordHead
from softmask.renames import from_bert

WIDTH, VOCAB = tiny.WIDTH, tiny.VOCAB


def test_projection_is_of_unit_length_in_float32_under_autocast():
    head = tiny.shake(Projection(64, 32))
    state = tiny.draw(9, 64, dtype=torch.float32) * 5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = head(state)
        assert torch.nn.functional.linear(state, head.weight).dtype == torch.bfloat16
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.norm(dim=1), torch.ones(9), rtol=0, atol=1e-6)


def test_projection_is_a_linear_layer_scaled_to_the_sphere():
    head = tiny.shake(Projection(6, 4))
    state = tiny.draw(3, 6, dtype=torch.float32)
    plain = state @ head.weight.T + head.bias
    torch.testing.assert_close(head(state), plain / plain.pow(2).sum(dim=1, keepdim=True).sqrt())


def test_matcher_multiplies_in_float32_under_autocast():
    head = tiny.shake(Matcher(6))
    state = tiny.draw(3, 6, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = head(state)
    assert got.shape == (3, 2)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, state @ head.weight.T + head.bias)


def test_class_head_multiplies_in_float32_at_last_under_autocast():
    head = tiny.shake(ClassHead(6, 4))
    state = tiny.draw(3, 6, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got, hidden = head(state), head[0](state).relu()
    assert hidden.dtype == torch.bfloat16
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, hidden.float() @ head[2].weight.T + head[2].bias)


@pytest.mark.parametrize("head", [Matcher(6), ClassHead(6, 4)])
def test_scores_of_weights_in_half_precision_are_float32(head):
    head, state = tiny.shake(head).bfloat16(), tiny.draw(3, 6, dtype=torch.bfloat16)
    last = head if isinstance(head, Matcher) else head[2]
    given = state if isinstance(head, Matcher) else head[0](state).relu()
    expected = given.float() @ last.weight.float().T + last.bias.float()
    assert head(state).dtype == torch.float32
    torch.testing.assert_close(head(state), expected)


def test_class_one_says_that_the_pair_matches():
    torch.manual_seed(0)
    head, match = Matcher(6), torch.tensor([1, 1, 0, 0])
    states = tiny.draw(4, 6, dtype=torch.float32)
    optimizer = torch.optim.SGD(head.parameters(), lr=1.0)
    for _ in range(100):
        optimizer.zero_grad()
        itm(head(states), match).backward()
        optimizer.step()
    belief = head(states).softmax(dim=1)[:, 1]
    assert (belief[:2] > 0.8).all()
    assert (belief[2:] < 0.2).all()


def bert():
    config = BertConfig(
        vocab_size=VOCAB,
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=8,
    )
    return tiny.shake(BertForMaskedLM(config))


def word_head(model):
    renamed = from_bert(model.state_dict(), layers=1)
    own = {n.removeprefix("words."): v for n, v in renamed.items() if n.startswith("words.")}
    head = WordHead(WIDTH, VOCAB).eval()
    head.load_state_dict(own)
    return head


def test_word_head_equals_transformers_own():
    model = bert()
    states = tiny.draw(2, 3, WIDTH, dtype=torch.float32)
    table = model.bert.embeddings.word_embeddings.weight
    got = word_head(model)(states, table)
    assert got.shape == (2, 3, VOCAB)
    assert (got - model.cls(states)).abs().max() < 1e-5


def test_word_head_reads_and_teaches_the_text_encoders_table():
    encoder, head = tiny.shake(tiny.text_encoder()), tiny.shake(WordHead(WIDTH, VOCAB))
    assert encoder.table is encoder.bert.embeddings.word_embeddings.weight
    states = tiny.draw(3, WIDTH, dtype=torch.float32)
    before = head(states, encoder.table)
    before[:, 7].sum().backward()
    assert (encoder.table.grad.abs().amax(dim=1) > 0).nonzero().tolist() == [[7]]
    with torch.no_grad():
        encoder.table[7] += 1
    changed = (head(states, encoder.table) != before).any(dim=0)
    assert changed.nonzero().tolist() == [[7]]
    assert not {id(encoder.table)} & {id(p) for p in head.parameters()}


def test_word_head_is_float32_under_autocast():
    head, table = tiny.shake(WordHead(WIDTH, VOCAB)), tiny.draw(VOCAB, WIDTH).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = head(tiny.draw(3, WIDTH).float(), table)
    assert got.dtype == torch.float32
