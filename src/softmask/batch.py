"""The contract between data modules and tasks.

B pairs of this rank, L text tokens, M tokens to predict in the whole batch, S soft-mask words
a pair, H x W pixels.
Pixels travel as uint8 and are normalised on the device.
"""

from typing import NotRequired, TypedDict

from torch import Tensor

IGNORE = -100
"""Label of positions that are not to be predicted."""


class PairBatch(TypedDict):
    """Image-caption pairs as evaluation reads them: nothing masked, nothing distorted."""

    image: Tensor  # (B, 3, H, W) uint8
    input_ids: Tensor  # (B, L) int64
    attention_mask: Tensor  # (B, L) bool, False on padding
    image_id: Tensor  # (B,) int64, equal for equal images
    text_id: Tensor  # (B,) int64, equal for equal captions
    position: Tensor  # (B,) int64, place in the data set: evaluation counts each once
    key: list[str]  # B sample keys
    caption: list[str]  # B captions


class PretrainBatch(PairBatch):
    """Augmented pairs: `image` is distorted and, when text is augmented, `input_ids` is masked."""

    mlm_at: Tensor  # (M,) int64, places to predict in the B L flattened tokens; 0 fills up
    mlm_labels: Tensor  # (M,) int64, token ids before masking; IGNORE fills up
    words: Tensor  # (B, S) int64, positions of the tokens whose maps become soft masks
    mlm_ids: NotRequired[Tensor]  # (B, L) int64, a masking draw of MLM's own; else input_ids serve
    clean_image: NotRequired[Tensor]  # (B, 3, H, W) uint8, the teacher's view; else image serves
    clean_ids: NotRequired[Tensor]  # (B, L) int64, the teacher's text; else input_ids serve
