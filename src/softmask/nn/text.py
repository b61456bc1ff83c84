"""The text encoder: the first layers of a BERT.

R texts, L tokens, D width.
"""

from typing import cast

from torch import Tensor, nn
from transformers import BertConfig, BertModel

from softmask.nn.attention import check_heads, initial_std


class TextEncoder(nn.Module):
    """Bidirectional BERT layers without image (ALBEF, section 3.1): stock transformers, no pooler.

    Args:
        layers: BERT layers kept as text encoder; 6 of 12 in ALBEF.
        width: D.
        heads: attention heads.
        hidden: units of the feed-forward layers; 0 means 4 D.
        vocab_size: word pieces.
        max_positions: longest text in tokens.
        dropout: BERT's.

    Raises:
        InputError: the heads do not divide the width.
    """

    def __init__(
        self,
        layers: int = 6,
        width: int = 768,
        heads: int = 12,
        hidden: int = 0,
        vocab_size: int = 30522,
        max_positions: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_heads("text", width, heads)
        config = BertConfig(
            vocab_size=vocab_size,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=hidden or 4 * width,
            max_position_embeddings=max_positions,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            initializer_range=initial_std(width),
        )
        self.bert = BertModel(config, add_pooling_layer=False)
        self.bert.set_attn_implementation("sdpa")  # reads boolean masks; eager would add them
        self.width = width
        self.layers = layers

    @property
    def table(self) -> nn.Parameter:
        """Word embeddings, (vocabulary, D); the word head reads them too."""
        return cast(nn.Parameter, self.bert.embeddings.word_embeddings.weight)

    def levels(self) -> list[list[nn.Parameter]]:
        """Parameters by layer, embeddings first."""
        parts = (self.bert.embeddings, *self.bert.encoder.layer)
        return [list(part.parameters()) for part in parts]

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Encode texts.

        Args:
            input_ids: (R, L) int64.
            mask: True on words, (R, L).

        Returns:
            (R, L, D).
        """
        # Four dimensions: transformers then neither inspects the mask (a sync) nor rebuilds it.
        full = mask[:, None, None, :].expand(-1, 1, mask.shape[1], -1)
        states: Tensor = self.bert(input_ids=input_ids, attention_mask=full).last_hidden_state
        return states
