"""Fresh layers of any width pass on as much as BERT's at 768."""

import pytest
import torch

from softmask.nn import FusionEncoder, ImageEncoder, TextEncoder, WordHead
from softmask.nn.attention import initial_std


def test_bert_keeps_its_deviation_and_narrow_layers_get_more():
    assert initial_std(768) == pytest.approx(0.02)
    assert initial_std(384) == pytest.approx(0.04)
    assert initial_std(192) == pytest.approx(1 / 192**0.5)


def test_every_part_draws_with_it():
    torch.manual_seed(0)
    width = 192
    drawn = [
        FusionEncoder(width, 1, 3).layers[0].feed.up.weight,
        TextEncoder(1, width, 3).bert.encoder.layer[0].intermediate.dense.weight,
        WordHead(width, 10).dense.weight,
        ImageEncoder("deit_tiny_patch16_224", image_size=32, depth=1).vit.blocks[0].mlp.fc1.weight,
    ]
    for weight in drawn:
        assert weight.std().item() == pytest.approx(1 / 192**0.5, rel=0.03)
