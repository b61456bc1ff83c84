"""The fusion encoder: BERT layers that also look at an image (ALBEF, section 3.1).

R texts, B images (texts come in runs of R / B that look at one image), L text tokens, N image
tokens, D width, H heads.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softmask.nn.attention import (
    CrossAttention,
    KeySets,
    SelfAttention,
    check_heads,
    initial_std,
    pick_positions,
    soft_mask_kv,
)


class FeedForward(nn.Module):
    """BERT's two linear layers with GELU between, residual and layer norm after."""

    def __init__(self, width: int, hidden: int, dropout: float = 0.1, eps: float = 1e-12) -> None:
        super().__init__()
        self.dropout = dropout
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width, eps=eps)

    def forward(self, states: Tensor) -> Tensor:
        """(R, L, D) to (R, L, D)."""
        raised = self.down(F.gelu(self.up(states)))
        normed: Tensor = self.norm(states + F.dropout(raised, self.dropout, self.training))
        return normed


class FusionLayer(nn.Module):
    """Self-attention over words, cross-attention to the image, feed-forward; norms after each.

    Args:
        width: D.
        heads: H.
        hidden: units of the feed-forward layer.
        image_width: units of an image token.
        dropout: BERT's.
        eps: of the layer norms.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        image_width: int,
        dropout: float = 0.1,
        eps: float = 1e-12,
    ) -> None:
        super().__init__()
        self.words = SelfAttention(width, heads, dropout, eps)
        self.image = CrossAttention(width, heads, image_width, dropout, eps)
        self.feed = FeedForward(width, hidden, dropout, eps)

    def forward(
        self,
        states: Tensor,
        mask: Tensor,
        kv: Tensor | KeySets,
        first_only: bool = False,
        image_mask: Tensor | None = None,
        at: Tensor | None = None,
    ) -> Tensor:
        """(R, L, D) with key mask (R, 1, 1 or L, L) and image keys and values (B, N, 2 D), or sets.

        With `first_only` the first token's state alone is computed, (R, 1, D); with `at`, (M,),
        those of these places of the flattened tokens are finished, (M, 1, D). With `image_mask`,
        (B, 1, 1, N), only image tokens where it is True are looked at.
        """
        states = self.image(self.words(states, mask, first_only), kv, image_mask, at)
        fed: Tensor = self.feed(states)
        return fed

    def forward_with_map(self, states: Tensor, mask: Tensor, kv: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and the cross-attention map (B, H, L, N); one text an image."""
        states, attention_map = self.image.forward_with_map(self.words(states, mask), kv)
        return self.feed(states), attention_map


class ImageKeys(NamedTuple):
    """What the fusion layers read of B images: keys and values a layer, each (B, N, 2 D)."""

    layers: tuple[Tensor, ...]

    def pick(self, index: Tensor) -> "ImageKeys":
        """Those of the images at `index`, (R,)."""
        return ImageKeys(tuple(kv.index_select(0, index) for kv in self.layers))

    def repeat(self, times: int) -> "ImageKeys":
        """Each image `times` times in a row; the same tensors for once."""
        if times == 1:
            return self
        return ImageKeys(tuple(kv.repeat_interleave(times, dim=0) for kv in self.layers))

    def detach(self) -> "ImageKeys":
        """The same values outside the graph."""
        return ImageKeys(tuple(kv.detach() for kv in self.layers))


class SeveralKeys(NamedTuple):
    """`ImageKeys` of several sets of images, for text rows that come set by set, in one pass."""

    sets: tuple[ImageKeys, ...]
    rows: tuple[int, ...]  # how many rows look at each set; R together

    @property
    def layers(self) -> tuple[KeySets, ...]:
        """What each fusion layer reads."""
        each = zip(*(keys.layers for keys in self.sets), strict=True)
        return tuple(KeySets(kv, self.rows) for kv in each)


class FusionEncoder(nn.Module):
    """Fuses many texts with images whose keys and values are projected once.

    Args:
        width: D, the text encoder's width.
        layers: cross-attending layers; BERT's layers 6 to 11 in ALBEF.
        heads: H.
        hidden: units of the feed-forward layers; 0 means 4 D.
        image_width: units of an image token; 0 means D.
        dropout: BERT's.

    Raises:
        InputError: the heads do not divide the width.
    """

    def __init__(
        self,
        width: int = 768,
        layers: int = 6,
        heads: int = 12,
        hidden: int = 0,
        image_width: int = 0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_heads("fusion", width, heads)
        self.width = width
        self.image_width = image_width or width
        self.layers = nn.ModuleList(
            FusionLayer(width, heads, hidden or 4 * width, self.image_width, dropout)
            for _ in range(layers)
        )
        std = initial_std(width)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=std)
                nn.init.zeros_(module.bias)

    def project(self, image: Tensor) -> ImageKeys:
        """Image tokens (B, N, image width) to every layer's keys and values."""
        return ImageKeys(tuple(layer.image.project(image) for layer in self._stack()))

    def soften(self, keys: ImageKeys, keep: Tensor) -> ImageKeys:
        """Keys and values of image tokens scaled by `keep`, (B, N), exactly, without projecting."""
        return ImageKeys(
            tuple(
                soft_mask_kv(kv, keep, layer.image.kv.bias)
                for layer, kv in zip(self._stack(), keys.layers, strict=True)
            )
        )

    def forward(
        self,
        states: Tensor,
        mask: Tensor,
        keys: ImageKeys | SeveralKeys,
        start: int = 0,
        stop: int | None = None,
        image_mask: Tensor | None = None,
        at: Tensor | None = None,
    ) -> Tensor:
        """Run layers start to stop, all of them unless told.

        Args:
            states: text states, (R, L, D).
            mask: True on words, (R, L); or where a word may read another, (R, L, L).
            keys: of B images; texts R / B * b and the following look at image b. Or of several
                sets, each with rows of its own.
            start: first layer.
            stop: layer to stop before.
            image_mask: True on the image tokens to look at, (B, N); None looks at all.
            at: places of the flattened R L tokens that are wanted, (M,): the last of the layers
                finishes no others, which is exact, and cheaper. None wants all.

        Returns:
            (R, L, D), or (M, D).
        """
        key_mask = mask[:, None, None, :] if mask.ndim == 2 else mask[:, None]
        seen = None if image_mask is None else image_mask[:, None, None, :]
        layers: list[tuple[FusionLayer, Tensor | KeySets]]
        layers = list(zip(self._stack(), keys.layers, strict=True))
        chosen = layers[start:stop]
        for number, (layer, kv) in enumerate(chosen, start=1):
            wanted = at if number == len(chosen) else None
            states = layer(states, key_mask, kv, image_mask=seen, at=wanted)
        if at is None:
            return states
        return states[:, 0] if chosen else pick_positions(states, at)

    def first_token(
        self,
        states: Tensor,
        mask: Tensor,
        keys: ImageKeys | SeveralKeys,
        start: int = 0,
        image_mask: Tensor | None = None,
    ) -> Tensor:
        """`forward` to the end for the first token alone, which is all that matching reads.

        Exact, and cheaper: the last layer computes nothing for the other tokens.

        Returns:
            (R, D).
        """
        last = len(self.layers) - 1
        if start > last:
            return states[:, 0]
        states = self.forward(states, mask, keys, start, last, image_mask=image_mask)
        layer, kv = self._stack()[last], keys.layers[last]
        seen = None if image_mask is None else image_mask[:, None, None, :]
        first: Tensor = layer(states, mask[:, None, None, :], kv, first_only=True, image_mask=seen)
        return first[:, 0]

    def first_token_with_map(
        self, states: Tensor, mask: Tensor, keys: ImageKeys, at: int
    ) -> tuple[Tensor, Tensor]:
        """Run layers `at` to the end, keeping the cross-attention map of the first of them.

        Args:
            states: input of layer `at`, (B, L, D).
            mask: True on words, (B, L).
            keys: of the same B images.
            at: the layer whose map is wanted.

        Returns:
            The first token's fused state, (B, D), and the map, (B, H, L, N).
        """
        states, attention_map = self._stack()[at].forward_with_map(
            states, mask[:, None, None, :], keys.layers[at]
        )
        return self.first_token(states, mask, keys, start=at + 1), attention_map

    def levels(self) -> list[list[nn.Parameter]]:
        """Parameters by layer."""
        return [list(layer.parameters()) for layer in self.layers]

    def _stack(self) -> list[FusionLayer]:
        return cast(list[FusionLayer], list(self.layers))


def interleave(parts: list[Tensor]) -> Tensor:
    """G tensors (B, ...) to (B G, ...), the G rows of an image in a run."""
    return torch.stack(parts, dim=1).flatten(0, 1)


def regroup(rows: Tensor, kinds: int) -> Tensor:
    """The inverse of interleaving, G = kinds: (B G, ...) to (B, G, ...)."""
    return rows.reshape(-1, kinds, *rows.shape[1:])
