"""Words of pairs, and where they look, as rows of a panel.

B pairs, L tokens, P = rows x columns patches.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar, cast

import torch
from torch import Tensor

from softmask.batch import PairBatch
from softmask.captions import Captions
from softmask.explain import hide_words
from softmask.explaining import pieces_of
from softmask.panels import Row
from softmask.stop_words import naming, phrase_to
from softmask.tasks import PretrainTask

Pairs = TypeVar("Pairs", bound=PairBatch)


class Marked(NamedTuple):
    """A word of a pair."""

    row: int  # of the batch
    words: list[str]  # of the caption
    at: int  # place among them


def soft_rows(
    task: PretrainTask, batch: PairBatch, captions: Captions, marked: Sequence[Marked], hiding: bool
) -> list[Row]:
    """Map words of pairs as training does, and by hiding.

    Args:
        task: maps by Grad-CAM in the layer that its soft masks are made of.
        batch: B pairs.
        captions: cuts captions as the batch's were.
        marked: the words, each of another pair.
        hiding: map by hiding too; see `hide_words`.

    Returns:
        One for each word.
    """
    pairs = rows_of(batch, [chosen.row for chosen in marked])
    mask = pairs["attention_mask"]
    places = zip(pairs["caption"], marked, strict=True)
    spans = [captions.words(text)[chosen.at] for text, chosen in places]
    found = task.explain(pairs, pieces_of(spans, mask.shape[1])[:, None].to(mask.device))
    rows = []
    for row, (_, words, at) in enumerate(marked):
        hidden = _hidden(task, pairs, row, phrase_to(words, at), captions) if hiding else None
        rows.append(
            Row(
                pairs["image"][row].permute(1, 2, 0).cpu().numpy(),
                " ".join(words[:at]),
                words[at],
                " ".join(words[at + 1 :]),
                _grid(task, found.maps[row, 0]),
                float(found.plain[row]),
                float(found.masked[row, 0]),
                hidden,
            )
        )
    return rows


def mark(
    batch: PairBatch, captions: Captions, samples: int, wanted: Sequence[str] = ()
) -> list[Marked]:
    """Choose pairs and a word of each, from equal batches the same.

    Args:
        batch: B pairs.
        captions: cuts captions as the batch's were.
        samples: how many pairs at most.
        wanted: words to mark, each in the first pair that has it, in capitals or not. Other pairs
            follow in order, and of each the next word that names something.
    """
    texts = [[word.text for word in captions.words(text)] for text in batch["caption"]]
    small = [[word.lower() for word in words] for words in texts]
    marked: dict[int, Marked] = {}
    for word in map(str.lower, wanted):
        has = (row for row, said in enumerate(small) if word in said and row not in marked)
        if (row := next(has, None)) is not None:
            marked[row] = Marked(row, texts[row], small[row].index(word))
    for row, (words, place) in enumerate(zip(texts, batch["position"].tolist(), strict=True)):
        names = naming(words)
        marked.setdefault(row, Marked(row, words, names[place % len(names)]))
    return list(marked.values())[:samples]


def rows_of(batch: Pairs, rows: Sequence[int]) -> Pairs:
    """A batch of some rows of another, whose values are all a row a pair."""
    chosen = {
        name: value[rows] if isinstance(value, Tensor) else [value[row] for row in rows]  # type: ignore[index]
        for name, value in batch.items()
    }
    return cast(Pairs, chosen)


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
