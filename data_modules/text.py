"""Captions as tokens: normalised, tokenised, masked by BERT's rule, words picked for soft masks.

L tokens of one caption, [CLS] first; M of them to predict; S words for soft masks. Captions are
short, so their tokens are plain numbers: arrays this small cost more to handle than to compute.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from data_modules.pieces import WordPieces
from data_modules.reasons import BadSample, Reason
from softmask.captions import Punctuation
from softmask.captions import is_shown as is_shown
from softmask.captions import normalise as normalise
from softmask.errors import InputError
from softmask.tokenizer import load_tokenizer

Ids = Sequence[int]


@dataclass(frozen=True)
class TextOptions:
    """How captions become tokens.

    Args:
        tokenizer: "bert-base-uncased" (shipped), a folder, or a model name.
        max_words: words kept of a caption.
        max_tokens: tokens kept, [CLS] and [SEP] counted.
        sep: end captions with [SEP]; ALBEF's released weights saw none.
        mask_ratio: share of tokens that MLM predicts.
        augment: "none" masks for MLM alone, as ALBEF does; "shared" lets every loss read MLM's
            masked draw; "separate" gives the other losses a draw of their own.
        augment_ratio: share of tokens masked in the draw of its own of "separate".
        teacher_clean: let the momentum teacher read unmasked text.
        soft_words: "any" token may become a soft mask, or "content" words alone: no stop words,
            punctuation or masked tokens (any token where a caption has none).
        masks_per_pair: soft masks drawn for each pair, with replacement.
        pad_to_max: pad to max_tokens instead of to the longest of the batch.
        punctuation: is "kept", or goes as "albef", "lavis" or, of VQA, "lavis_questions" take it
            away, whose released weights never saw it; see `softmask.captions.normalise`.
    """

    tokenizer: str = "bert-base-uncased"
    max_words: int = 30
    max_tokens: int = 25
    sep: bool = False
    mask_ratio: float = 0.15
    augment: Literal["none", "shared", "separate"] = "shared"
    augment_ratio: float = 0.15
    teacher_clean: bool = False
    soft_words: Literal["any", "content"] = "any"
    masks_per_pair: int = 1
    pad_to_max: bool = False
    punctuation: Punctuation = "kept"

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        for name in ("mask_ratio", "augment_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"text.{name} is {getattr(self, name)}: give a share from 0 to 1.")
        for name, least in (("max_words", 1), ("max_tokens", 3), ("masks_per_pair", 1)):
            if getattr(self, name) < least:
                raise InputError(f"text.{name} is {getattr(self, name)}: give at least {least}.")


class Encoded(NamedTuple):
    """A caption's tokens."""

    ids: Ids  # L
    ordinary: Ids  # positions: no [CLS], [SEP] or [PAD]
    content: Ids  # positions of words that name something; none for "any" words


class Masked(NamedTuple):
    """One masking draw."""

    ids: Ids  # L
    at: Ids  # M positions to predict
    labels: Ids  # M ids before masking


class TextDraw(NamedTuple):
    """One caption as a training step reads it; None where the batch leaves the key out."""

    input_ids: Ids  # L
    mlm_at: Ids  # M
    mlm_labels: Ids  # M
    words: Ids  # S
    mlm_ids: Ids | None  # L
    clean_ids: Ids | None  # L


class Text:
    """The tokenizer at work.

    Args:
        options: see TextOptions.
    """

    def __init__(self, options: TextOptions) -> None:
        self.options = options
        self._tokenizer = load_tokenizer(options.tokenizer)
        self._pieces = WordPieces(self._tokenizer)
        self.pad = int(self._tokenizer.pad_token_id)
        self._cls = int(self._tokenizer.cls_token_id)
        self._sep = int(self._tokenizer.sep_token_id)
        self._mask = int(self._tokenizer.mask_token_id)
        self._special = frozenset((self._cls, self._sep, self.pad))
        self._vocabulary = len(self._tokenizer)

    def normalise(self, caption: str, words: int | None = None) -> str:
        """Make equal captions equal strings, of `max_words` words at most unless told otherwise."""
        options = self.options
        return normalise(caption, words or options.max_words, options.punctuation)

    def encode(self, caption: str) -> Encoded:
        """Tokenise a normalised caption.

        Args:
            caption: from `normalise`.

        Raises:
            BadSample: if nothing of the caption is left.
        """
        room = self.options.max_tokens - 1 - self.options.sep
        pieces = self._pieces.ids(caption, room)
        ids = [self._cls, *pieces, *[self._sep] * self.options.sep]
        ordinary = list(range(1, 1 + len(pieces)))
        if not self._special.isdisjoint(pieces):
            ordinary = [place for place in ordinary if ids[place] not in self._special]
        content: Ids = ()
        if self.options.soft_words == "content":
            names = self._pieces.content(caption, room)
            content = [place for place in ordinary if names[place - 1]]
        if not ordinary:  # nothing, or "[PAD]" and its like written out
            raise BadSample(
                Reason.EMPTY_CAPTION, f"has a caption without a token: {caption[:80]!r}"
            )
        return Encoded(ids, ordinary, content)

    def draw(self, encoded: Encoded, rng: random.Random) -> TextDraw:
        """Mask a caption and pick its words for one training step.

        Args:
            encoded: from `encode`.
            rng: of this sample and epoch.
        """
        options = self.options
        masked = self.mask(encoded, options.mask_ratio, rng)
        if options.augment == "none":
            inputs = encoded.ids
        elif options.augment == "shared":
            inputs = masked.ids
        else:
            inputs = self.mask(encoded, options.augment_ratio, rng).ids
        return TextDraw(
            input_ids=inputs,
            mlm_at=masked.at,
            mlm_labels=masked.labels,
            words=self.pick_words(encoded, inputs, rng),
            mlm_ids=None if options.augment == "shared" else masked.ids,
            clean_ids=encoded.ids if options.teacher_clean and options.augment != "none" else None,
        )

    def mask(self, encoded: Encoded, ratio: float, rng: random.Random) -> Masked:
        """Choose tokens; 80 % become [MASK], 10 % a random id, 10 % stay (BERT's rule)."""
        ids = list(encoded.ids)
        at = [place for place in encoded.ordinary if rng.random() < ratio]
        for place in at:
            fate = rng.random()
            if fate < 0.8:
                ids[place] = self._mask
            elif fate < 0.9:
                ids[place] = rng.randrange(self._vocabulary)
        return Masked(ids, at, [encoded.ids[place] for place in at])

    def pick_words(self, encoded: Encoded, input_ids: Ids, rng: random.Random) -> Ids:
        """Draw the positions of soft-mask words with replacement, S of them."""
        places = encoded.ordinary
        if self.options.soft_words == "content":
            unmasked = [place for place in encoded.content if input_ids[place] != self._mask]
            places = unmasked or places
        return rng.choices(places, k=self.options.masks_per_pair)
