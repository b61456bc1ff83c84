"""The contract between data modules and tasks.

B pairs of this rank, R texts of all its images, L text tokens, M tokens to predict in the whole
batch, S soft-mask words a pair, A answers of all questions of a batch, K boxes, H x W pixels.
Pixels travel as uint8 and are normalised on the device.
"""

from typing import NotRequired, Protocol, TypedDict, runtime_checkable

from torch import Tensor

IGNORE = -100
"""Label of positions that are not to be predicted."""
ENTAILMENT = ("contradiction", "neutral", "entailment")
"""SNLI-VE's classes, in ALBEF's order."""
TRUTH = ("False", "True")
"""NLVR2's classes, as ALBEF numbers them."""


class ImageTextBatch(TypedDict):
    """Images, each with one text: what all tasks read."""

    image: Tensor  # (B, 3, H, W) uint8
    input_ids: Tensor  # (B, L) int64
    attention_mask: Tensor  # (B, L) bool, False on padding
    position: Tensor  # (B,) int64, place in the data set: evaluation counts each once
    key: list[str]  # B sample keys


class PairBatch(ImageTextBatch):
    """Image-caption pairs, nothing masked: retrieval's training."""

    image_id: Tensor  # (B,) int64, equal for equal images
    text_id: Tensor  # (B,) int64, equal for equal captions
    caption: list[str]  # B captions


class WordBatch(PairBatch):
    """Pairs with words whose maps become soft masks: grounding's training."""

    words: Tensor  # (B, S) int64, positions of the tokens


class PretrainBatch(WordBatch):
    """Augmented pairs: `image` is distorted and, when text is augmented, `input_ids` is masked."""

    mlm_at: Tensor  # (M,) int64, places to predict in the B L flattened tokens; 0 fills up
    mlm_labels: Tensor  # (M,) int64, token ids before masking; IGNORE fills up
    mlm_ids: NotRequired[Tensor]  # (B, L) int64, a masking draw of MLM's own; else input_ids serve
    clean_image: NotRequired[Tensor]  # (B, 3, H, W) uint8, the teacher's view; else image serves
    clean_ids: NotRequired[Tensor]  # (B, L) int64, the teacher's text; else input_ids serve


class CaptionedBatch(TypedDict):
    """Images with all their captions, one or more each: retrieval's evaluation."""

    image: Tensor  # (B, 3, H, W) uint8
    image_id: Tensor  # (B,) int64, equal for equal images
    input_ids: Tensor  # (R, L) int64
    attention_mask: Tensor  # (R, L) bool, False on padding
    image_row: Tensor  # (R,) int64, row of the text's image in this batch, ascending
    text_id: Tensor  # (R,) int64, equal for equal captions
    caption: list[str]  # R captions
    position: Tensor  # (B,) int64, place in the data set: evaluation counts each once
    key: list[str]  # B sample keys


class LabelledBatch(ImageTextBatch):
    """An image and a text with one of a few classes: SNLI-VE."""

    label: Tensor  # (B,) int64; IGNORE where it is not known
    identifier: list[str]  # B names that the data set gives its samples; the key where it has none
    identity: Tensor  # (B,) int64, equal for equal identifiers: evaluation refuses repeated ones


class TwoImageBatch(LabelledBatch):
    """Two images and a statement about both: NLVR2. `image` is the left one."""

    second_image: Tensor  # (B, 3, H, W) uint8, the right one
    sentence_id: Tensor  # (B,) int64, equal for one sentence's pairs of images: consistency


class QuestionBatch(ImageTextBatch):
    """Images with a question each, to be answered: VQA's evaluation."""

    question: list[str]  # B questions
    question_id: Tensor  # (B,) int64
    answers: list[list[str]]  # of B questions, what people said; empty where it is not known
    question_type: list[str]  # of B questions, to score them by type; "" where none is said
    answer_type: list[str]  # of their answers: VQA's yes/no, number and other; "" as above


class AnsweredBatch(QuestionBatch):
    """Questions with answers to learn: VQA's training. A question has one answer or more."""

    answer_ids: Tensor  # (A, T) int64
    answer_mask: Tensor  # (A, T) bool, False on padding
    answer_weight: Tensor  # (A,) float, of an answer among its question's
    question_row: Tensor  # (A,) int64, row of the question in this batch, ascending


class CaptionBatch(TypedDict):
    """Images to be captioned, with all captions that people wrote: captioning's evaluation."""

    image: Tensor  # (B, 3, H, W) uint8
    references: list[list[str]]  # of B images; empty where they are not known
    image_name: list[str]  # B names that results give the images: COCO's number where it is known
    position: Tensor  # (B,) int64, place in the data set: evaluation counts each once
    key: list[str]  # B sample keys


class GroundingBatch(PairBatch):
    """Images with an expression each and the box of what it means: grounding's evaluation."""

    box: Tensor  # (B, 4) float, x, y, width, height in pixels of the original; NaN if not known
    size: Tensor  # (B, 2) int64, width and height of the original
    detections: Tensor  # (B, K, 4) float, candidates as `box`; NaN fills up
    mapped: Tensor  # (B, L) bool, tokens whose maps together are the expression's
    split: list[str]  # B names of the part of the data that a sample counts for; "" is none


class ImageBatch(TypedDict):
    """Images alone, with a class each: zero-shot classification."""

    image: Tensor  # (B, 3, H, W) uint8
    label: Tensor  # (B,) int64; IGNORE where it is not known
    position: Tensor  # (B,) int64, place in the data set: evaluation counts each once
    key: list[str]  # B sample keys


class Prompts(TypedDict):
    """Classes as texts: C classes, P prompts each."""

    names: list[str]  # C
    input_ids: Tensor  # (C, P, L) int64
    attention_mask: Tensor  # (C, P, L) bool, False on padding


@runtime_checkable
class GivesPrompts(Protocol):
    """Data whose classes are given as texts."""

    def prompts(self) -> Prompts:
        """Every class in every template."""


@runtime_checkable
class CutTexts(Protocol):
    """How texts become tokens."""

    @property
    def tokenizer(self) -> str:
        """A name or a folder."""

    @property
    def max_tokens(self) -> int:
        """Tokens kept of a text."""


@runtime_checkable
class GivesTexts(Protocol):
    """Data with texts for the text encoder."""

    text: CutTexts


@runtime_checkable
class GivesQuestions(Protocol):
    """Data whose questions are cut otherwise in evaluation."""

    eval_tokens: int
