"""The sizes at which a training step is timed, and random examples of them.

B pairs, L tokens.
"""

from dataclasses import dataclass

import torch

from softmask.backbone import Backbone
from softmask.batch import PretrainBatch
from softmask.nn import FusionEncoder, ImageEncoder, TextEncoder

VOCABULARY, FIRST_WORD, MASK, CLASS = 30522, 999, 103, 101
"""Of BERT base uncased: its size, the first that is a word, and two marks."""
MASKED = 0.15
"""Share of tokens to predict; ALBEF's."""


@dataclass(frozen=True)
class StepSize:
    """What a step's cost depends on.

    Args:
        batch: B.
        width: of tokens and words; heads are 64 wide.
        layers: of the ViT.
        text_layers: of the text encoder.
        fusion_layers: of the fusion encoder.
        image: side of the square pictures in pixels.
        tokens: L, to which texts are padded.
        queue: pairs in the queue.
        embed: width of the shared space.
    """

    batch: int
    width: int = 768
    layers: int = 12
    text_layers: int = 6
    fusion_layers: int = 6
    image: int = 256
    tokens: int = 30
    queue: int = 65536
    embed: int = 256

    @property
    def heads(self) -> int:
        """Attention heads."""
        return max(self.width // 64, 1)

    @property
    def mapped(self) -> int:
        """The fusion layer of the soft masks: the third of six, as in the recipe."""
        return max(self.fusion_layers // 2 - 1, 0)

    def backbone(self) -> Backbone:
        """A fresh one; BERT's dropout is ALBEF's."""
        width, heads = self.width, self.heads
        image = ImageEncoder(
            image_size=self.image, patch_size=16, width=width, depth=self.layers, heads=heads
        )
        return Backbone(
            image,
            TextEncoder(self.text_layers, width, heads),
            FusionEncoder(width, self.fusion_layers, heads),
            self.embed,
        )


def examples(size: StepSize, device: str, *, own_draw: bool) -> PretrainBatch:
    """Random pairs, the same at every call: captions of 6 to 24 tokens, padded.

    Args:
        size: of the step.
        device: to put them on.
        own_draw: MLM masks the text for itself, as in ALBEF; otherwise every loss reads its text.
    """
    rng = torch.Generator().manual_seed(0)
    rows, length = size.batch, size.tokens
    lengths = torch.randint(min(6, length), min(25, length + 1), (rows, 1), generator=rng)
    mask = torch.arange(length) < lengths
    clean = torch.randint(FIRST_WORD, VOCABULARY, (rows, length), generator=rng)
    clean[:, 0] = CLASS
    clean *= mask
    words = mask & (torch.arange(length) > 0)
    chosen = words & (torch.rand(rows, length, generator=rng) < MASKED)
    chosen[:, 1] |= ~chosen.any(dim=1)
    masked = clean.masked_fill(chosen, MASK)
    at = chosen.flatten().nonzero().squeeze(1)
    pixels = torch.randint(0, 256, (rows, 3, size.image, size.image), generator=rng)
    order = torch.arange(rows)
    batch = PretrainBatch(
        image=pixels.byte().to(device),
        input_ids=(clean if own_draw else masked).to(device),
        attention_mask=mask.to(device),
        image_id=order.to(device),
        text_id=order.to(device),
        position=order,
        key=[str(row) for row in range(rows)],
        caption=[""] * rows,
        mlm_at=at.to(device),
        mlm_labels=clean.flatten()[at].to(device),
        words=torch.ones(rows, 1, dtype=torch.long, device=device),
    )
    if own_draw:
        batch["mlm_ids"] = masked.to(device)
    return batch
