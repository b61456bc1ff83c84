"""Tokenizers that are not the shipped one."""

from pathlib import Path

from transformers import BertTokenizer

from softmask.tokenizer import load_tokenizer


def own_tokenizer(folder: Path, more: int = 0) -> Path:
    """The shipped one with its last pieces in another order, and more of them."""
    pieces = sorted(load_tokenizer().get_vocab().items(), key=lambda item: item[1])
    names = [name for name, _ in pieces]
    names[2000:] = [*names[:1999:-1], *(f"piece{n}" for n in range(more))]
    BertTokenizer(vocab={name: at for at, name in enumerate(names)}).save_pretrained(folder)
    return folder
