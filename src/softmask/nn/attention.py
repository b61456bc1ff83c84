"""Multi-head attention: the fused kernel everywhere, or the map when one is asked for.

R query rows, B key rows (R a multiple of B), Q queries, K keys, H heads, D width.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softmask.errors import InputError

BERT_STD, BERT_WIDTH = 0.02, 768
"""BERT draws its weights with this deviation at this width."""


def initial_std(width: int) -> float:
    """Deviation of fresh weights: BERT's at its own width, more where layers are narrower.

    With BERT's number as it stands, narrow layers pass on next to nothing at first: 192 wide, the
    class token hardly hears the words, all texts look alike to contrast, and short runs do not
    recover (CONTRIBUTING.md has the figures).
    """
    # Not beyond the width at which a layer passes on as much as it gets.
    return float(min(BERT_STD * BERT_WIDTH / width, width**-0.5))


def check_heads(part: str, width: int, heads: int) -> None:
    """Refuse a width that its heads do not divide.

    Raises:
        InputError: names the part of the backbone.
    """
    if heads < 1 or width % heads:
        raise InputError(
            f"The backbone's {part}.width={width} is not a multiple of its {part}.heads={heads}: "
            f"change one of them."
        )


class KeySets(NamedTuple):
    """Keys and values of several sets of images, for text rows that come set by set."""

    kv: tuple[Tensor, ...]  # of each set, (B, N, 2 D)
    rows: tuple[int, ...]  # how many rows look at each; R together


def pick_positions(states: Tensor, at: Tensor) -> Tensor:
    """States (R, L, D) at places (M,) of the flattened R L tokens, as (M, D)."""
    return states.flatten(0, 1).index_select(0, at)


def split_heads(states: Tensor, heads: int) -> Tensor:
    """(R, L, D) to (R, H, L, D / H), as a view."""
    rows, length, width = states.shape
    return states.view(rows, length, heads, width // heads).transpose(1, 2)


def attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """Scaled dot-product attention with the fused kernel.

    Args:
        query: (R, H, Q, D / H).
        key: (R, H, K, D / H).
        value: (R, H, K, D / H).
        mask: True where a key may be read, broadcastable to (R, H, Q, K).
        dropout: share of attention probabilities dropped.

    Returns:
        Heads joined again, (R, Q, D).
    """
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
    return mixed.transpose(1, 2).flatten(2)


def attend_with_map(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """The same without mask and dropout, spelled out so that its map can be differentiated.

    Args:
        query: (R, H, Q, D / H).
        key: (R, H, K, D / H).
        value: (R, H, K, D / H).

    Returns:
        Heads joined again, (R, Q, D), and the map in float32, (R, H, Q, K).
    """
    scores = query.float() @ key.float().transpose(-1, -2) / query.shape[-1] ** 0.5
    attention_map = scores.softmax(dim=-1)  # float32: its gradient underflows in fp16
    mixed = attention_map.to(value.dtype) @ value
    return mixed.transpose(1, 2).flatten(2), attention_map


class SelfAttention(nn.Module):
    """BERT's self-attention with its residual and layer norm after it (post-norm).

    Args:
        width: D, units of a token.
        heads: H.
        dropout: on probabilities and on the output.
        eps: of the layer norm; BERT's 1e-12.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.1, eps: float = 1e-12) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=eps)

    def forward(self, states: Tensor, mask: Tensor, first_only: bool = False) -> Tensor:
        """Mix the tokens of each row.

        Args:
            states: (R, L, D).
            mask: True where a key may be read, broadcastable to (R, H, L, L).
            first_only: compute the first token's new state alone, from all tokens.

        Returns:
            (R, L, D), or (R, 1, D).
        """
        query, key, value = (split_heads(x, self.heads) for x in self.qkv(states).chunk(3, dim=-1))
        if first_only:
            query, states = query[:, :, :1], states[:, :1]
        dropout = self.dropout if self.training else 0.0
        mixed = self.out(attend(query, key, value, mask, dropout))
        mixed = F.dropout(mixed, self.dropout, self.training)
        normed: Tensor = self.norm(states + mixed)
        return normed


class CrossAttention(nn.Module):
    """BERT's cross-attention; keys and values of an image are projected apart, once.

    Args:
        width: D, units of a text token.
        heads: H.
        image_width: units of an image token.
        dropout: on probabilities and on the output.
        eps: of the layer norm.
    """

    def __init__(
        self, width: int, heads: int, image_width: int, dropout: float = 0.1, eps: float = 1e-12
    ) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.kv = nn.Linear(image_width, 2 * width)
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=eps)

    def project(self, image: Tensor) -> Tensor:
        """Image tokens (B, N, image width) to keys and values side by side, (B, N, 2 D)."""
        projected: Tensor = self.kv(image)
        return projected

    def forward(
        self,
        states: Tensor,
        kv: Tensor | KeySets,
        mask: Tensor | None = None,
        at: Tensor | None = None,
    ) -> Tensor:
        """Let runs of R / B text rows look at one image each, without copying its keys.

        Args:
            states: (R, L, D).
            kv: keys and values of B images, (B, N, 2 D); or several sets of them.
            mask: True where a key may be read, (B, 1, 1, N); None reads all, as several sets must.
            at: places of the flattened R L tokens to go on with, (M,); None takes all.

        Returns:
            (R, L, D), or (M, 1, D).
        """
        query = self.query(states)
        if isinstance(kv, Tensor):
            looked = self._look(query, kv, mask)
        else:
            assert mask is None
            # Sets differ in the length of their runs; everything but this is one product for all.
            parts = zip(query.split(kv.rows), kv.kv, strict=True)
            looked = torch.cat([self._look(*part) for part in parts])
        if at is not None:
            states, looked = (pick_positions(x, at).unsqueeze(1) for x in (states, looked))
        return self._close(states, looked)

    def forward_with_map(self, states: Tensor, kv: Tensor) -> tuple[Tensor, Tensor]:
        """`forward` without dropout of the map, and the map, (R, H, L, N): one text an image."""
        mixed, attention_map = attend_with_map(*self._heads(self.query(states), kv))
        return self._close(states, mixed), attention_map

    def _look(self, query: Tensor, kv: Tensor, mask: Tensor | None = None) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        return attend(*self._heads(query, kv), mask, dropout).view_as(query)

    def _heads(self, query: Tensor, kv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # A run of texts on one image becomes one longer query: (R, L, D) -> (B, R / B * L, D).
        query = query.reshape(kv.shape[0], -1, query.shape[-1])
        key, value = kv.chunk(2, dim=-1)
        return (
            split_heads(query, self.heads),
            split_heads(key, self.heads),
            split_heads(value, self.heads),
        )

    def _close(self, states: Tensor, mixed: Tensor) -> Tensor:
        mixed = F.dropout(self.out(mixed.view_as(states)), self.dropout, self.training)
        normed: Tensor = self.norm(states + mixed)
        return normed


def soft_mask_kv(kv: Tensor, keep: Tensor, bias: Tensor) -> Tensor:
    """Keys and values of scaled image tokens, exactly, from those of the plain ones.

    W(c v) + b = c (W v + b - b) + b: scaling a token commutes with a linear layer but for its bias.

    Args:
        kv: projected tokens, (B, N, 2 D).
        keep: c, the factor of each token, (B, N).
        bias: b of the projection, (2 D,).

    Returns:
        (B, N, 2 D).
    """
    return torch.addcmul(bias.to(kv.dtype), keep.unsqueeze(-1).to(kv.dtype), kv - bias.to(kv.dtype))
