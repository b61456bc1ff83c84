"""Scores of written captions: BLEU and, where its package is there, CIDEr.

Both compare words as `caption_words` gives them. The official code cuts words with a tokenizer in
Java; ours differs in contractions and rare signs, so figures may differ in the last digits.
"""

import re
from collections.abc import Sequence

from torchmetrics.functional.text import bleu_score

_WORD = re.compile(r"\w+(?:'\w+)*")


def caption_words(caption: str) -> str:
    """Lower-case words with single spaces between, without punctuation."""
    return " ".join(_WORD.findall(caption.lower()))


def caption_scores(
    captions: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Score captions against those that people wrote.

    Args:
        captions: one of each picture.
        references: of each picture, one at least.

    Returns:
        `bleu1` and `bleu4` (Papineni et al., 2002, of the whole corpus), and `cider` (Vedantam et
        al., CVPR 2015, CIDEr-D; 1 is what its papers write as 100) if pycocoevalcap is installed.
    """
    said = [caption_words(text) for text in captions]
    theirs = [[caption_words(text) for text in texts] for texts in references]
    scores = {f"bleu{n}": float(bleu_score(said, theirs, n_gram=n)) for n in (1, 4)}
    try:
        from pycocoevalcap.cider.cider import Cider  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return scores
    numbers = range(len(said))
    cider, _ = Cider().compute_score(
        dict(zip(numbers, theirs, strict=True)), {n: [said[n]] for n in numbers}
    )
    return scores | {"cider": float(cider)}
