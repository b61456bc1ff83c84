"""Words to pieces, remembered: most captions are made of words seen before."""

from itertools import chain

from tokenizers import Encoding, Tokenizer
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from softmask.stop_words import names_something
from softmask.tokenizer import PreTrainedTokenizerBase

MOST_WORDS = 1 << 16  # about 20 MB in each worker

Ids = tuple[int, ...]
Content = tuple[bool, ...]
"""Of each piece, whether its whole word names something."""


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
        # Apart, for few ask for content, and what is looked up for each word should be small.
        self._ids: dict[str, Ids] = {}
        self._contents: dict[str, Content] = {}

    def ids(self, caption: str, room: int) -> list[int]:
        """Cut a caption of words with single spaces between.

        Args:
            caption: from `normalise`.
            room: pieces to give at most.
        """
        words = self._words(caption)
        try:
            pieces = [*map(self._ids.__getitem__, words)]
        except KeyError:
            pieces = [self._ids.get(word) or self._learn(word)[0] for word in words]
        return [*chain.from_iterable(pieces)][:room]

    def content(self, caption: str, room: int) -> list[bool]:
        """Tell for each of `ids` whether it is part of a word that names something."""
        known, content = self._contents, list[bool]()
        for word in self._words(caption):
            content += known.get(word) or self._learn(word)[1]
            if len(content) >= room:
                break
        return content[:room]

    def _words(self, caption: str) -> list[str]:
        return caption.split(" ") if self._by_word else [caption]

    def _learn(self, word: str) -> tuple[Ids, Content]:
        encoding = self._tokenizer.encode(word, add_special_tokens=False)
        ids, content = tuple(encoding.ids), _content(word, encoding)
        if self._by_word:
            if len(self._ids) >= MOST_WORDS:
                self._ids.clear()
                self._contents.clear()
            self._ids[word], self._contents[word] = ids, content
        return ids, content


def _content(text: str, encoding: Encoding) -> Content:
    """Tell for each piece whether its whole word is content."""
    words = encoding.word_ids
    spans: dict[int | None, tuple[int, int]] = {}
    for word, (start, stop) in zip(words, encoding.offsets, strict=True):
        spans[word] = (spans.get(word, (start, stop))[0], stop)
    seen = {word: names_something(text[start:stop]) for word, (start, stop) in spans.items()}
    return tuple(seen[word] for word in words)
