"""A word of each pair, and where it looks, as rows of a panel.

B pairs, L tokens, P = rows x columns patches.
"""

import torch
from torch import Tensor

from softmask.batch import PairBatch
from softmask.captions import Captions, Word
from softmask.explain import hide_words
from softmask.explaining import pieces_of
from softmask.panels import Row
from softmask.stop_words import naming, phrase_to
from softmask.tasks import PretrainTask


def soft_rows(
    task: PretrainTask, batch: PairBatch, captions: Captions, *, hiding: bool
) -> list[Row]:
    """Map one word of each pair that names something, another one in each, always the same.

    Args:
        task: maps by Grad-CAM in the layer that its soft masks are made of.
        batch: B pairs.
        captions: cuts captions as the batch's were.
        hiding: map by hiding too; see `hide_words`.

    Returns:
        B rows.
    """
    words = [captions.words(text) for text in batch["caption"]]
    places = batch["position"].tolist()
    at = [_choose(said, place) for said, place in zip(words, places, strict=True)]
    mask = batch["attention_mask"]
    chosen = [said[place] for said, place in zip(words, at, strict=True)]
    pieces = pieces_of(chosen, mask.shape[1])[:, None].to(mask.device)
    found = task.explain(batch, pieces)
    rows = []
    for row, (said, place) in enumerate(zip(words, at, strict=True)):
        texts = [word.text for word in said]
        hidden = _hidden(task, batch, row, phrase_to(texts, place), captions) if hiding else None
        rows.append(
            Row(
                batch["image"][row].permute(1, 2, 0).cpu().numpy(),
                " ".join(texts[:place]),
                texts[place],
                " ".join(texts[place + 1 :]),
                _grid(task, found.maps[row, 0]),
                float(found.plain[row]),
                float(found.masked[row, 0]),
                hidden,
            )
        )
    return rows


def _choose(words: list[Word], place: int) -> int:
    naming_words = naming([word.text for word in words])
    return naming_words[place % len(naming_words)]


def _hidden(
    task: PretrainTask, batch: PairBatch, row: int, phrase: str, captions: Captions
) -> Tensor:
    """A word's map by hiding, asked with what it belongs to, (rows, columns)."""
    image, ids, mask = (batch[key][[row]] for key in ("image", "input_ids", "attention_mask"))
    asked = captions.encode([phrase])
    found = hide_words(
        task.backbone,
        task.matcher,
        image=image,
        text=(ids, mask),
        words=(asked.input_ids.to(ids.device), asked.mask.to(ids.device)),
        by_max=task.soft_mask.by_max,
    )
    return _grid(task, found.maps[0, 0])


def _grid(task: PretrainTask, patches: Tensor) -> Tensor:
    return torch.unflatten(patches, 0, task.backbone.image.grid)
