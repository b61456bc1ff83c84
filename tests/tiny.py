"""Seeded numbers, and the model's parts at their smallest."""

import torch
from torch import Tensor, nn

from softmask.backbone import Backbone
from softmask.nn import FusionEncoder, ImageEncoder, TextEncoder

WIDTH, LAYERS, VOCAB, LENGTH, IMAGE = 16, 2, 40, 12, 32


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal numbers that depend on the seed alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def shake(module: nn.Module, seed: int = 0, by: float = 0.2) -> nn.Module:
    """Move every parameter from its start, so that no bias is zero and no norm is plain."""
    with torch.no_grad():
        for place, parameter in enumerate(module.parameters()):
            noise = draw(*parameter.shape, seed=1000 * seed + place, dtype=parameter.dtype)
            parameter.add_(by * noise)
    return module.eval()


def text_encoder() -> TextEncoder:
    return TextEncoder(
        layers=LAYERS, width=WIDTH, heads=2, hidden=24, vocab_size=VOCAB, max_positions=LENGTH
    )


def fusion(layers: int = LAYERS, dropout: float = 0.1) -> FusionEncoder:
    return FusionEncoder(width=WIDTH, layers=layers, heads=2, hidden=24, dropout=dropout)


def backbone(seed: int = 0) -> Backbone:
    """With every parameter shaken, in eval mode; the temperature stays what it was."""
    image = ImageEncoder("vit_tiny_patch16_224", image_size=IMAGE, width=WIDTH, depth=1, heads=2)
    whole = Backbone(image, text_encoder(), fusion(), embed_dim=8)
    shake(whole, seed)
    with torch.no_grad():
        whole.temperature.fill_(0.07)
    return whole


def pixels(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, IMAGE, IMAGE), generator=generator).byte()


def texts(lengths: list[int], seed: int = 0, padded: int = 0) -> tuple[Tensor, Tensor]:
    """Random ids of these lengths and their mask, padded with 0 to the longest or further."""
    longest = max(*lengths, padded)
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, VOCAB, (len(lengths), longest), generator=generator)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return ids * mask, mask
