"""Captions as evaluation and inference read them: normalised, cut into words and word pieces.

R texts, L tokens, [CLS] first.
"""

import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from tokenizers import Encoding
from torch import Tensor

from softmask.errors import InputError
from softmask.tokenizer import PreTrainedTokenizerBase

HIDDEN = ("Cf", "Cs", "Co")
JOINERS = "\u200c\u200d"  # they make other letters in Persian and Hindi, other pictures of emoji


Punctuation = Literal["kept", "albef", "lavis", "lavis_questions"]
SIGNS: dict[str, dict[int, Any]] = {
    "albef": str.maketrans("-/", "  ", ",.'!?\"()*#:;~"),
    "lavis": str.maketrans(dict.fromkeys('.!"()*#:;~', " ")),
    "lavis_questions": str.maketrans("", "", '.!"()*#:;~'),
}
"""Signs that become spaces or go."""


def normalise(caption: str, max_words: int, punctuation: Punctuation = "kept") -> str:
    """Make equal captions equal strings: NFKC, single spaces, at most max_words words.

    Control characters become spaces; what shows nothing at all (byte order marks, zero-width
    spaces, direction marks, halves of characters) goes without a trace.

    Args:
        caption: as written.
        max_words: words kept.
        punctuation: is "kept", or goes before words are counted as in the "albef" or "lavis" code,
            whose released weights read texts so. ALBEF drops most signs ("don't" is "dont"), makes
            spaces of - and /, and "person" of "<person>"; questions too. LAVIS makes spaces of most
            signs in captions, drops the same ones in questions ("lavis_questions": "U.S." is "US"),
            and keeps commas, apostrophes and question marks in both.
    """
    text = caption if caption.isascii() else unicodedata.normalize("NFKC", caption)
    if not text.isprintable():
        text = "".join(letter if is_shown(letter) else _instead(letter) for letter in text)
    if punctuation != "kept":
        text = text.translate(SIGNS[punctuation])
        text = text.replace("<person>", "person") if punctuation == "albef" else text
    return " ".join(text.split()[:max_words])


def is_shown(letter: str) -> bool:
    """Tell whether a character stays in a caption as it is."""
    return letter in JOINERS or unicodedata.category(letter) not in ("Cc", *HIDDEN)


def _instead(letter: str) -> str:
    return " " if unicodedata.category(letter) == "Cc" else ""


@dataclass(frozen=True)
class CaptionOptions:
    """How captions are cut; as data modules' `TextOptions`, of which inference needs these.

    Args:
        max_words: words kept of a caption.
        max_tokens: tokens kept, [CLS] and [SEP] counted.
        sep: end captions with [SEP]; ALBEF's released weights saw none, LAVIS's did.
        punctuation: see `normalise`.
    """

    max_words: int = 30
    max_tokens: int = 25
    sep: bool = False
    punctuation: Punctuation = "kept"


class Tokens(NamedTuple):
    """Texts as the text encoder reads them."""

    input_ids: Tensor  # (R, L) int64
    mask: Tensor  # (R, L) bool, False on padding


class Word(NamedTuple):
    """A word of a caption and its tokens."""

    text: str
    start: int  # first token
    stop: int  # token after the last


class _Read(NamedTuple):
    """A text, tokenised once."""

    ids: list[int]  # without special tokens
    words: list[Word]
    cut: bool  # the text is longer than what is read of it


class Captions:
    """A tokenizer with a model's options.

    Args:
        tokenizer: a fast one.
        options: how captions are cut.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, options: CaptionOptions) -> None:
        self.tokenizer = tokenizer
        self.options = options

    def check(self, vocab_size: int, positions: int) -> None:
        """Refuse a tokenizer or options that a text encoder of these sizes cannot read.

        Raises:
            InputError: too many word pieces, or too long captions.
        """
        pieces, longest = len(self.tokenizer), self.options.max_tokens
        if pieces > vocab_size or longest > positions:
            raise InputError(
                f"The tokenizer gives {pieces} word pieces and captions up to {longest} tokens, "
                f"but the text encoder knows {vocab_size} and {positions}: give the model's own "
                f"tokenizer, or a smaller captions.max_tokens."
            )

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Tokenise texts and pad them to the longest; warn of what is not read.

        Raises:
            InputError: a text without a token, or what is no text.
        """
        read = [self._read(text) for text in texts]
        cut = [text for text, one in zip(texts, read, strict=True) if one.cut]
        self._warn(cut, len(texts))
        special = self.tokenizer
        end = [int(special.sep_token_id)] if self.options.sep else []
        rows = [[int(special.cls_token_id), *one.ids, *end] for one in read]
        length = max(len(row) for row in rows)
        pad = int(special.pad_token_id)
        lengths = torch.tensor([len(row) for row in rows])
        ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows])
        return Tokens(ids, torch.arange(length) < lengths[:, None])

    def _warn(self, cut: Sequence[str], of: int) -> None:
        if cut:
            warnings.warn(
                f"{len(cut)} of {of} texts are read in part, such as {cut[0][:60]!r}...: this "
                f"model reads {self.options.max_words} words and {self.options.max_tokens} tokens "
                f"at most.",
                stacklevel=4,
            )

    def words(self, text: str) -> list[Word]:
        """The words that are left of a text, with their places among its tokens.

        Raises:
            InputError: a text without a token, or what is no text.
        """
        return self._read(text).words

    def _read(self, text: str) -> _Read:
        if not isinstance(text, str):
            raise InputError(f"A text is given as {type(text).__name__}: give a string.")
        options = self.options
        # One word more than is read tells that there are more.
        found = normalise(text, options.max_words + 1, options.punctuation).split()
        caption = " ".join(found[: options.max_words])
        encoding: Encoding = self.tokenizer.backend_tokenizer.encode(
            caption, add_special_tokens=False
        )
        room = options.max_tokens - 1 - options.sep
        places: dict[int | None, list[int]] = {}
        for place, word in enumerate(encoding.word_ids[:room]):
            places.setdefault(word, []).append(place)
        if not places:
            raise InputError(f"The text {text[:80]!r} has no token: give at least a word.")
        words = []
        for at in places.values():
            start, stop = encoding.offsets[at[0]][0], encoding.offsets[at[-1]][1]
            words.append(Word(caption[start:stop], at[0] + 1, at[-1] + 2))  # after [CLS]
        cut = len(found) > options.max_words or len(encoding.ids) > room
        return _Read(encoding.ids[:room], words, cut)


def listed_texts(given: str | Sequence[str]) -> list[str]:
    """One text or several, as a list.

    Raises:
        InputError: none.
    """
    # Listed before it is asked for its truth, which arrays and generators do not tell.
    alone = isinstance(given, str | bytes) or not isinstance(given, Iterable)
    texts: list[str] = [given] if alone else list(given)  # type: ignore[list-item]
    if texts in ([], [""]):
        raise InputError("No text is given: give one or more.")
    return texts
