"""Hits as a page to look at."""

from collections.abc import Sequence
from html import escape

from PIL import Image

from softmask.ask.finding import Hit, Query
from softmask.ask.html import data_uri, document, fitted
from softmask.ask.index import Index
from softmask.pictures import Pixels, read_picture

SIDE = 360
"""Pixels of the longer side of a picture."""


def hits_page(query: Query, hits: Sequence[Hit], index: Index) -> str:
    """Lay hits out: a grid of pictures, or the picture that was asked with its texts.

    Raises:
        InputError: a picture cannot be read.
    """
    if query.text is not None:
        items = [_picture(hit, index.picture(hit.key, hit.at)) for hit in hits]
        return document(f"Pictures for “{query.text}”", [f"<ol class='grid'>{''.join(items)}</ol>"])
    assert query.image is not None
    asked = _img(read_picture(query.image), f"The picture {query.image.name}, which was asked")
    items = [
        f"<li>{escape(hit.key)}<br><span class='soft'>{_figures(hit)}</span></li>" for hit in hits
    ]
    title = f"Texts for {query.image.name}"
    return document(
        title, [f"<div class='grid'><figure>{asked}</figure></div><ol>{''.join(items)}</ol>"]
    )


def _picture(hit: Hit, pixels: Pixels) -> str:
    return (
        f"<li><figure>{_img(pixels, f'Hit {hit.rank}: {hit.key}')}<figcaption>{hit.rank}. "
        f"{escape(hit.key)}<br><span class='soft'>{_figures(hit)}</span></figcaption></figure></li>"
    )


def _img(pixels: Pixels, alt: str) -> str:
    picture = fitted(Image.fromarray(pixels), SIDE)
    return f'<img alt="{escape(alt, quote=True)}" src="{data_uri(picture, "jpeg")}">'


def _figures(hit: Hit) -> str:
    match = "" if hit.match is None else f"match {hit.match:.3f}, "
    return f"{match}cosine {hit.cosine:.3f}"
