"""Heads on fused or unimodal states.

R rows, L tokens, D width, E embedding width, V word pieces, K classes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softmask.nn.attention import initial_std


class Projection(nn.Linear):
    """A class token to the shared space, of unit length: (R, D) to (R, E) in float32."""

    def forward(self, state: Tensor) -> Tensor:
        """(R, D) to (R, E)."""
        return F.normalize(super().forward(state).float(), dim=-1)


class Scores(nn.Linear):
    """A linear layer whose outputs are ranked and subtracted: in float32, under autocast too."""

    def forward(self, state: Tensor) -> Tensor:
        """(R, D) to (R, K) in float32; under autocast its product would be rounded first."""
        with torch.autocast(state.device.type, enabled=False):
            return F.linear(state.float(), self.weight.float(), self.bias.float())


class Matcher(Scores):
    """Does the text belong to the image? Class 1 says yes (ALBEF, section 3.2).

    Fused states of first tokens (R, D) to logits (R, 2) in float32.

    Args:
        width: D of the fused states.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, 2)


class ClassHead(nn.Sequential):
    """Which of K classes? Two linear layers with ReLU between (ALBEF, section 5).

    Fused states of first tokens (R, D) to logits (R, K) in float32.

    Args:
        width: D of the fused states.
        classes: K.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__(nn.Linear(width, width), nn.ReLU(), Scores(width, classes))


class WordHead(nn.Module):
    """BERT's masked-word head; its output matrix is the text encoder's table, passed in.

    Args:
        width: D.
        vocab_size: V.
        eps: of the layer norm.
    """

    def __init__(self, width: int, vocab_size: int, eps: float = 1e-12) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=eps)
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        nn.init.normal_(self.dense.weight, std=initial_std(width))
        nn.init.zeros_(self.dense.bias)

    def forward(self, states: Tensor, table: Tensor) -> Tensor:
        """States (..., D) and the word table (V, D) to logits (..., V) in float32."""
        return F.linear(self.norm(F.gelu(self.dense(states))), table, self.bias).float()
