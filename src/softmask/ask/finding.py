"""Nearest by cosine, then judged again by the matching head."""

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from softmask.ask.index import Features, Index
from softmask.ask.sources import Kind
from softmask.model import SoftMask
from softmask.pictures import read_picture


class Query(NamedTuple):
    """A text that looks for pictures, or a picture that looks for texts; one of both."""

    text: str | None
    image: Path | None

    @property
    def wanted(self) -> Kind:
        """What it looks for."""
        return "images" if self.image is None else "texts"


class Hit(NamedTuple):
    """An answer."""

    rank: int  # from 1
    key: str  # name of the picture, or the text
    at: int  # place in the source
    cosine: float
    match: float | None  # probability; None if the matching head was not asked

    def plain(self) -> dict[str, object]:
        """For JSON."""
        return {name: value for name, value in self._asdict().items() if name != "at"}


def find(
    model: SoftMask,
    index: Index,
    features: Features,
    query: Query,
    top: int,
    candidates: int,
) -> list[Hit]:
    """Answer a query.

    Args:
        model: the index's own.
        index: knows where pictures are.
        features: of what is wanted.
        query: text or picture.
        top: most hits.
        candidates: of the nearest, judged by the matching head and put in its order; those behind
            keep the order of their cosines.

    Raises:
        InputError: a picture cannot be read.
    """
    rows, cosines = features.nearest(embedded(model, query), max(top, candidates))
    near = [
        Hit(0, features.keys[row], features.at[row], cosine, None)
        for row, cosine in zip(rows, cosines, strict=True)
    ]
    judged = rerank(model, index, query, near[:candidates])
    hits = [*judged, *near[candidates:]][:top]
    return [hit._replace(rank=number) for number, hit in enumerate(hits, start=1)]


def embedded(model: SoftMask, query: Query) -> Tensor:
    """The query's feature, (E,)."""
    if query.text is not None:
        return model.embed_texts(query.text)[0]
    assert query.image is not None
    return model.embed_images(query.image)[0]


def rerank(model: SoftMask, index: Index, query: Query, near: list[Hit]) -> list[Hit]:
    """Judge hits by the matching head, the most probable first.

    Raises:
        InputError: a picture cannot be read.
    """
    if not near:
        return []
    if query.text is not None:
        pictures = [index.picture(hit.key, hit.at) for hit in near]
        match = model.score(pictures, query.text)
    else:
        assert query.image is not None
        match = model.score(read_picture(query.image), [hit.key for hit in near])
    judged = [hit._replace(match=value) for hit, value in zip(near, match.tolist(), strict=True)]
    return sorted(judged, key=lambda hit: -(hit.match or 0.0))
