"""The tokenizers: BERT's own vocabulary is shipped and needs no network, others come by name."""

from importlib.resources import files

from transformers import AutoTokenizer, BatchEncoding, BertTokenizer, PreTrainedTokenizerBase

from softmask.errors import InputError

__all__ = ["SHIPPED", "BatchEncoding", "PreTrainedTokenizerBase", "load_tokenizer"]

SHIPPED = "bert-base-uncased"


def load_tokenizer(name: str = SHIPPED) -> PreTrainedTokenizerBase:
    """Load a tokenizer that knows [CLS], [SEP], [PAD] and [MASK].

    Args:
        name: "bert-base-uncased" for the shipped vocabulary (30,522 pieces), else a folder or a
            model name that transformers can load.

    Returns:
        The tokenizer; whether [SEP] is used is the caller's affair.

    Raises:
        InputError: if it cannot be loaded, lacks one of the special tokens, or is a slow one.
    """
    if name == SHIPPED:
        lines = files("softmask").joinpath("vocab.txt").read_text(encoding="utf-8").splitlines()
        return BertTokenizer(vocab={piece: number for number, piece in enumerate(lines)})
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        raise InputError(
            f"The tokenizer {name!r} cannot be loaded: give {SHIPPED!r} (shipped, works offline), "
            "a folder with tokenizer files, or the name of a model that can be downloaded now."
        ) from error
    needed = ("cls_token_id", "sep_token_id", "pad_token_id", "mask_token_id")
    missing = [token for token in needed if getattr(tokenizer, token) is None]
    if missing:
        raise InputError(
            f"The tokenizer {name!r} has no {', '.join(missing)}: masked words need a BERT-like "
            f"tokenizer such as {SHIPPED!r}."
        )
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise InputError(
            f"The tokenizer {name!r} ({type(tokenizer).__name__}) is none of the fast ones, which "
            f"tell where words begin: give one with a tokenizer.json, such as {SHIPPED!r}."
        )
    return tokenizer
