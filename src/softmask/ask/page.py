"""Explained pairs as a page: every map over its picture, larger when it is chosen."""

from collections.abc import Sequence
from html import escape

from softmask.ask.explained import SENTENCE, Explained, Tile, tiles
from softmask.ask.html import data_uri, document, fitted
from softmask.panels import glow

SIDE, MAP_SIDE = 720, 160
"""Pixels of the longer side of a picture, and of a map that the browser spreads over it."""


def page(pairs: Sequence[Explained], model: str, left_out: Sequence[str] = ()) -> str:
    """Lay pairs out.

    Args:
        pairs: at least one.
        model: its name, for the reader.
        left_out: pairs that could not be explained, and why.
    """
    intro = (
        f"<p class='soft'>Model {escape(model)}, {pairs[0].way}. Red is where {pairs[0].red}; the "
        f"map of the whole sentence is the mean of its words' maps. “Masked” is the probability of "
        f"a match with what is red faded. Choose a map to enlarge it.</p>"
    )
    articles = map(_article, range(len(pairs)), pairs)
    return document(pairs[0].heading, [intro, *articles, _missing(left_out)])


def _article(number: int, pair: Explained) -> str:
    picture = fitted(pair.picture, SIDE)
    address = data_uri(picture, "jpeg")
    figures = [
        f'<figure><img alt="The picture {escape(pair.name, quote=True)}" src="{address}">'
        f"<figcaption>picture<br><span class='soft'>match {pair.found.match:.3f}</span>"
        f"</figcaption></figure>"
    ]
    scale = MAP_SIDE / max(picture.size)
    size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    figures += [
        _figure(f"p{number}-{place}", tile, pair.alternative(tile), size, picture.size)
        for place, tile in enumerate(tiles(pair))
    ]
    # The picture stands in the page twice: to be read as a picture, and below all maps.
    return (
        f"<article aria-labelledby='p{number}' style='--picture: url({address})'>"
        f"<h2 id='p{number}'>{escape(pair.text)}</h2>"
        f"<p>{escape(pair.name)}: matches with probability {pair.found.match:.3f}</p>"
        f"<div class='grid'>{''.join(figures)}</div></article>"
    )


def _missing(left_out: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(one)}</li>" for one in left_out)
    return f"<section><h2>Left out</h2><ul>{items}</ul></section>" if items else ""


def _figure(name: str, tile: Tile, said: str, size: tuple[int, int], shown: tuple[int, int]) -> str:
    title = escape(tile.title)
    heading = title if tile.title == SENTENCE else f"<b>{title}</b>"
    alt = escape(said, quote=True)
    return (
        f"<figure id='{name}'><a href='#{name}'><img class='map' alt=\"{alt}\" "
        f"width='{shown[0]}' height='{shown[1]}' src='{data_uri(glow(tile.patches, size), 'png')}'>"
        f"</a><figcaption>{heading}<br><span class='soft'>{escape(tile.note)}</span></figcaption>"
        f"</figure>"
    )
