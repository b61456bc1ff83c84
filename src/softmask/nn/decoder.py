"""The answer decoder: fusion layers that read causally and look at a question (ALBEF, section 4.2).

R answers, B questions (answers come in runs of R / B that look at one question), T answer tokens,
L question tokens, D width, V word pieces.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softmask.nn.attention import initial_std
from softmask.nn.fusion import FusionEncoder, FusionLayer, ImageKeys
from softmask.nn.heads import WordHead
from softmask.nn.text import TextEncoder


class Embeddings(nn.Module):
    """BERT's embeddings of words and places, under BERT's own names.

    Args:
        vocab_size: V.
        width: D.
        max_positions: longest text in tokens.
        dropout: BERT's.
        eps: of the layer norm.
    """

    def __init__(
        self,
        vocab_size: int,
        width: int,
        max_positions: int,
        dropout: float = 0.1,
        eps: float = 1e-12,
    ) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, width)
        self.position_embeddings = nn.Embedding(max_positions, width)
        self.token_type_embeddings = nn.Embedding(2, width)  # BERT has two; here all are the first
        self.LayerNorm = nn.LayerNorm(width, eps=eps)
        self.dropout = dropout
        std = initial_std(width)
        for table in (self.word_embeddings, self.position_embeddings, self.token_type_embeddings):
            nn.init.normal_(table.weight, std=std)

    def forward(self, input_ids: Tensor) -> Tensor:
        """(R, T) to (R, T, D)."""
        places = self.position_embeddings.weight[: input_ids.shape[1]]
        kind = self.token_type_embeddings.weight[0]
        states = self.LayerNorm(self.word_embeddings(input_ids) + kind + places)
        return F.dropout(states, self.dropout, self.training)


class AnswerDecoder(nn.Module):
    """Predicts each token of a text from those before it and from what the text is about.

    Args:
        vocab_size: V.
        width: D.
        layers: 6 in ALBEF, as many as fusion layers.
        heads: attention heads.
        hidden: units of the feed-forward layers; 0 means 4 D.
        max_positions: longest text in tokens.
        dropout: BERT's.
        seen_width: units of the states it looks at; 0 means D.
    """

    def __init__(
        self,
        vocab_size: int = 30522,
        width: int = 768,
        layers: int = 6,
        heads: int = 12,
        hidden: int = 0,
        max_positions: int = 512,
        dropout: float = 0.1,
        seen_width: int = 0,
    ) -> None:
        super().__init__()
        self.embeddings = Embeddings(vocab_size, width, max_positions, dropout)
        self.fusion = FusionEncoder(width, layers, heads, hidden, seen_width, dropout)
        self.words = WordHead(width, vocab_size)

    @classmethod
    def like(cls, text: TextEncoder, fusion: FusionEncoder, seen_width: int = 0) -> "AnswerDecoder":
        """Build a decoder that the weights of these encoders fit: ALBEF starts it from them."""
        layer = cast(FusionLayer, fusion.layers[0])
        embeddings = text.bert.embeddings
        return cls(
            text.table.shape[0],
            text.width,
            len(fusion.layers),
            layer.words.heads,
            layer.feed.up.out_features,
            embeddings.position_embeddings.num_embeddings,
            layer.feed.dropout,
            seen_width,
        )

    def project(self, states: Tensor) -> ImageKeys:
        """Question states (B, L, D) to what every layer reads of them; once a question."""
        return self.fusion.project(states)

    def forward(
        self, input_ids: Tensor, mask: Tensor, keys: ImageKeys, key_mask: Tensor | None = None
    ) -> Tensor:
        """Read texts, each token from itself and those before it.

        Args:
            input_ids: (R, T) int64.
            mask: True on tokens, False on padding, (R, T).
            keys: of B questions; texts R / B * b and the following look at question b.
            key_mask: True on the question's tokens, (B, L); None looks at all.

        Returns:
            States to predict the next token from, (R, T, D); see `logits`.
        """
        length = input_ids.shape[1]
        before = torch.ones(length, length, dtype=torch.bool, device=mask.device).tril()
        states: Tensor = self.fusion(
            self.embeddings(input_ids), before & mask[:, None, :], keys, image_mask=key_mask
        )
        return states

    def logits(self, states: Tensor) -> Tensor:
        """States (..., D) to logits of the next token, (..., V), in float32."""
        scores: Tensor = self.words(states, self.embeddings.word_embeddings.weight)
        return scores
