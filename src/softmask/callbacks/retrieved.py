"""Hits and misses of a retrieval test, as pictures."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback

from softmask.batch import CaptionedBatch
from softmask.callbacks.drawing import Shown, put
from softmask.found import Found, Listed
from softmask.grids import Answer, Query, query_grid, said_of_queries
from softmask.panels import Pixels
from softmask.tasks import PairTask

Shape = Pixels | str
"""A picture or a text."""


@runtime_checkable
class ShowsSamples(Protocol):
    """Data of which one can ask for chosen samples, as evaluation sees them."""

    def look(self, split: str, positions: Sequence[int]) -> CaptionedBatch:
        """An evaluation batch of samples at places in the data set."""


class RetrievalPanels(Callback):
    """Draws hits and misses after a test of pretraining or retrieval, in TensorBoard.

    `retrieval/text_to_image` and `retrieval/image_to_text` show the first hits, then the misses
    whose right answer stands lowest.

    Args:
        draw: whether to.
    """

    def __init__(self, draw: bool = True) -> None:
        self.draw = draw

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not self.draw or not trainer.is_global_zero or not isinstance(data, ShowsSamples):
            return
        if not isinstance(pl_module, PairTask) or pl_module.found is None:
            return
        found = pl_module.found
        batch = data.look("test", needed(found))
        for name, queries in asked(found, batch).items():
            if queries:
                shown = Shown(query_grid(queries), said_of_queries(queries))
                put(trainer, f"retrieval/{name}", shown)


def needed(found: Found) -> list[int]:
    """Places of all samples that examples show, each once."""
    image, text = found.image.tolist(), found.text.tolist()
    places = {text[listed.query][0] for listed in found.t2i}
    places |= {image[i] for listed in found.t2i for i in listed.answers}
    places |= {image[listed.query] for listed in found.i2t}
    places |= {text[t][0] for listed in found.i2t for t in listed.answers}
    return sorted(places)


class _Seen:
    """Images and texts of examples, by their index in the evaluation."""

    def __init__(self, batch: CaptionedBatch, places: Sequence[int], found: Found) -> None:
        self._image, self._text = found.image.tolist(), found.text.tolist()
        self._images = dict(zip(places, batch["image"], strict=True))
        self._captions: dict[int, list[str]] = {place: [] for place in places}
        for row, caption in zip(batch["image_row"].tolist(), batch["caption"], strict=True):
            self._captions[places[row]].append(caption)

    def image(self, index: int) -> Pixels:
        pixels: Pixels = self._images[self._image[index]].permute(1, 2, 0).numpy()
        return pixels

    def text(self, index: int) -> str:
        place, turn = self._text[index]
        caption: str = self._captions[place][turn]
        return caption


def asked(found: Found, batch: CaptionedBatch) -> dict[str, list[Query]]:
    """The queries of both directions by name.

    Args:
        found: examples.
        batch: the samples at their places, in the order of `needed`.
    """
    seen = _Seen(batch, needed(found), found)
    return {
        "text_to_image": [_query(listed, seen.text, seen.image) for listed in found.t2i],
        "image_to_text": [_query(listed, seen.image, seen.text) for listed in found.i2t],
    }


def _query(listed: Listed, asked: Callable[[int], Shape], shown: Callable[[int], Shape]) -> Query:
    answers = [
        Answer(shown(index), score, right)
        for index, score, right in zip(listed.answers, listed.scores, listed.right, strict=True)
    ]
    return Query(asked(listed.query), answers, listed.rank)
