"""Words to pieces, remembered: most captions are made of words seen before."""

from typing import NamedTuple

from tokenizers import Encoding, Tokenizer
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from data_modules.words import STOP_WORDS
from softmask.tokenizer import PreTrainedTokenizerBase

MOST_WORDS = 1 << 16  # about 20 MB in each worker


class Pieces(NamedTuple):
    """What a text is cut into."""

    ids: tuple[int, ...]
    content: tuple[bool, ...]  # of a word that names something


class WordPieces:
    """A tokenizer without special tokens that cuts each word once.

    BERT's never looks across a space, so a caption's pieces are its words' pieces; other tokenizers
    are given whole captions.

    Args:
        tokenizer: a fast one.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer: Tokenizer = tokenizer.backend_tokenizer
        self._by_word = isinstance(self._tokenizer.pre_tokenizer, BertPreTokenizer) and isinstance(
            self._tokenizer.normalizer, BertNormalizer
        )
        self._known: dict[str, Pieces] = {}

    def __call__(self, caption: str, room: int) -> Pieces:
        """Cut a caption of words with single spaces between.

        Args:
            caption: from `normalise`.
            room: pieces to give at most.
        """
        if not self._by_word:
            whole = self._cut(caption)
            return Pieces(whole.ids[:room], whole.content[:room])
        ids: list[int] = []
        content: list[bool] = []
        for word in caption.split(" "):
            found = self._known.get(word) or self._learn(word)
            ids += found.ids
            content += found.content
            if len(ids) >= room:
                break
        return Pieces(tuple(ids[:room]), tuple(content[:room]))

    def _learn(self, word: str) -> Pieces:
        if len(self._known) >= MOST_WORDS:
            self._known.clear()
        self._known[word] = self._cut(word)
        return self._known[word]

    def _cut(self, text: str) -> Pieces:
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return Pieces(tuple(encoding.ids), _content(text, encoding))


def _content(text: str, encoding: Encoding) -> tuple[bool, ...]:
    """Tell for each piece whether its whole word is content."""
    words = encoding.word_ids
    spans: dict[int | None, tuple[int, int]] = {}
    for word, (start, stop) in zip(words, encoding.offsets, strict=True):
        spans[word] = (spans.get(word, (start, stop))[0], stop)
    seen = {word: _is_content(text[start:stop]) for word, (start, stop) in spans.items()}
    return tuple(seen[word] for word in words)


def _is_content(word: str) -> bool:
    return word.lower() not in STOP_WORDS and any(letter.isalnum() for letter in word)
