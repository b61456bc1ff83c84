"""The text encoder: transformers' own BERT, whatever the padding."""

import pytest
import tiny
import torch
from transformers import BertModel

from softmask.errors import InputError
from softmask.nn import TextEncoder

IDS, MASK = tiny.texts([7, 3, 5])


@pytest.fixture
def encoder():
    return tiny.shake(tiny.text_encoder())


def test_encoder_equals_transformers_with_a_plain_mask(encoder):
    theirs = BertModel(encoder.bert.config, add_pooling_layer=False).eval()
    theirs.load_state_dict(encoder.bert.state_dict())
    expected = theirs(input_ids=IDS, attention_mask=MASK.long()).last_hidden_state
    got = encoder(IDS, MASK)
    assert got.shape == (3, 7, tiny.WIDTH)
    assert (got - expected)[MASK].abs().max() < 1e-6


def test_padding_never_changes_a_result(encoder):
    plain = encoder(IDS, MASK)
    longer = torch.nn.functional.pad(IDS, (0, 4), value=11)
    longer[:, :7][~MASK] = 5
    got = encoder(longer, torch.nn.functional.pad(MASK, (0, 4)))
    torch.testing.assert_close(got[:, :7][MASK], plain[MASK], rtol=1e-4, atol=1e-5)


def test_attention_is_bidirectional(encoder):
    everything, other = torch.ones_like(MASK), IDS.clone()
    other[:, -1] = (other[:, -1] + 1) % tiny.VOCAB
    a, b = encoder(IDS, everything), encoder(other, everything)
    assert ((a - b)[:, 0].abs().amax(dim=1) > 1e-4).all()


def test_permuting_the_batch_permutes_the_states(encoder):
    order = torch.tensor([2, 0, 1])
    a, b = encoder(IDS, MASK)[order], encoder(IDS[order], MASK[order])
    torch.testing.assert_close(a[MASK[order]], b[MASK[order]])


def test_every_parameter_gets_a_gradient(encoder):
    encoder(IDS, MASK)[MASK].pow(2).sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


def test_heads_must_divide_the_width():
    with pytest.raises(InputError, match=r"text\.width=10.*text\.heads=4"):
        TextEncoder(layers=1, width=10, heads=4)
