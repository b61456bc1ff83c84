"""The backbone that every task shares: a ViT and a BERT that meet in a fusion encoder.

B images, R texts, N = 1 + P image tokens, L words, D width, E embedding width.
"""

import torch
from torch import Tensor, nn

from softmask.errors import InputError
from softmask.nn import (
    FusionEncoder,
    ImageEncoder,
    ImageKeys,
    Projection,
    SeveralKeys,
    TextEncoder,
)

TEMPERATURE_RANGE = (0.001, 0.5)
"""ALBEF clamps its temperature to this range at the start of every pretraining step."""

CONTRAST = ("backbone.image_projection.", "backbone.text_projection.", "backbone.temperature")
"""Names of the shared space, which tasks of classes and answers do not read."""


class Backbone(nn.Module):
    """Image encoder, text encoder, fusion encoder, two projections and a temperature.

    Args:
        image: the ViT.
        text: the first BERT layers.
        fusion: the layers that also look at the image.
        embed_dim: E, width of the shared space.
        temperature: start of the learnable temperature of the contrast.

    Raises:
        InputError: widths of the parts do not fit each other.
    """

    def __init__(
        self,
        image: ImageEncoder,
        text: TextEncoder,
        fusion: FusionEncoder,
        embed_dim: int = 256,
        temperature: float = 0.07,
    ) -> None:
        super().__init__()
        _check_widths(image, text, fusion)
        self.image = image
        self.text = text
        self.fusion = fusion
        self.image_projection = Projection(image.width, embed_dim)
        self.text_projection = Projection(text.width, embed_dim)
        self.temperature = nn.Parameter(torch.tensor(float(temperature)))
        self.embed_dim = embed_dim

    def encode_image(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, 3, H, W) to tokens (B, N, D) and unit features (B, E)."""
        tokens = self.image(pixels)
        return tokens, self.image_projection(tokens[:, 0])

    def encode_text(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids (R, L) to states (R, L, D) and unit features (R, E)."""
        states = self.text(input_ids, mask)
        return states, self.text_projection(states[:, 0])

    def project(self, tokens: Tensor) -> ImageKeys:
        """Image tokens (B, N, D) to what the fusion layers read of them; once an image."""
        return self.fusion.project(tokens)

    def fuse(self, states: Tensor, mask: Tensor, keys: ImageKeys) -> Tensor:
        """Text states (R, L, D) with B images, in runs of R / B texts an image, to (R, L, D)."""
        fused: Tensor = self.fusion(states, mask, keys)
        return fused

    def match_state(self, states: Tensor, mask: Tensor, keys: ImageKeys | SeveralKeys) -> Tensor:
        """`fuse` for the first token alone, which is all that matching reads: to (R, D)."""
        return self.fusion.first_token(states, mask, keys)

    def freeze_contrast(self) -> None:
        """Let projections and temperature rest, for tasks whose loss does not read them.

        Parameters without a gradient would stop data-parallel training.
        """
        self.image_projection.requires_grad_(False)
        self.text_projection.requires_grad_(False)
        self.temperature.requires_grad_(False)

    def stacks(self) -> list[list[list[nn.Parameter]]]:
        """Parameters by layer, embeddings first: of the ViT, and of BERT from words to fusion."""
        return [self.image.levels(), [*self.text.levels(), *self.fusion.levels()]]

    @torch.no_grad()
    def clamp_temperature(self) -> None:
        """Keep the temperature in ALBEF's range, in place."""
        self.temperature.clamp_(*TEMPERATURE_RANGE)


def _check_widths(image: ImageEncoder, text: TextEncoder, fusion: FusionEncoder) -> None:
    if fusion.width == text.width and fusion.image_width == image.width:
        return
    raise InputError(
        f"The backbone's parts do not fit: text.width={text.width}, fusion.width={fusion.width}, "
        f"image.width={image.width}, fusion.image_width={fusion.image_width}. Set fusion.width to "
        f"the text's width and fusion.image_width to the image's."
    )
