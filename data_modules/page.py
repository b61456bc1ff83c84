"""A data set on one HTML page that needs no other file and no network."""

from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

from data_modules.histogram import histogram
from softmask.pages import document
from softmask.pages import picture as embedded

STYLE = """
.tiles { grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.charts { grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); }
.pictures { grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); }
.tiles b { display: block; font-size: 21px; }
svg rect { fill: var(--bar); }
svg line { stroke: var(--rule); }
svg text { fill: var(--soft); font-size: 11px; }
figure { padding: 0; overflow: hidden; }
figure img, figure .none { display: block; width: 100%; height: 150px; object-fit: contain;
  background: #fff; }
figure .none { display: grid; place-items: center; color: #777; }
figcaption { margin: 8px; display: -webkit-box; -webkit-box-orient: vertical;
  -webkit-line-clamp: 4; overflow: hidden; }
.words { display: flex; flex-wrap: wrap; gap: 4px 14px; list-style: none; }
"""

TYPES = {"jpg": "jpeg"}


class Picture(NamedTuple):
    """A sample that is shown; without bytes only its captions are."""

    key: str
    data: bytes
    extension: str
    captions: list[str]


def page(report: dict[str, Any], pictures: Sequence[Picture]) -> str:
    """Lay a report out.

    Args:
        report: as `softmask data stats` writes it to JSON.
        pictures: samples to show.
    """
    title = str(report["path"])
    charts = "".join(_chart(name, row) for name, row in report["lengths"].items())
    body = (
        f"<main><h1>{escape(title)}</h1><p class='soft'>hash {escape(str(report['hash']))}</p>"
        f"<div class='grid tiles'>{_tiles(report)}</div>"
        f"<h2>How long, how many, how large</h2><div class='grid charts'>{charts}</div>"
        f"{_words(report['vocabulary'])}"
        f"<h2>Samples</h2><div class='grid pictures'>{''.join(map(_figure, pictures))}</div>"
        "</main>"
    )
    return document(title, body, STYLE)


def _tiles(report: dict[str, Any]) -> str:
    words = report["vocabulary"]
    tiles = [
        ("samples", f"{report['samples']:,}"),
        ("captions", f"{report['captions']:,}"),
        ("shards", f"{report['shards']:,}"),
        ("megabytes", f"{report['bytes'] / 1e6:,.1f}"),
        ("distinct words", f"{words['distinct_words']:,}"),
        ("of tokens are [UNK]", f"{words['unknown_share']:.3%}"),
        (f"of captions are cut at {report['max_tokens']} tokens", f"{report['cut_share']:.1%}"),
        *((f"samples: {reason}", f"{count:,}") for reason, count in report["faults"].items()),
        *((f"pictures are {kind}", f"{count:,}") for kind, count in report["formats"].items()),
    ]
    if report["looked_at"] < report["samples"]:
        tiles.insert(1, ("of them looked at", f"{report['looked_at']:,}"))
    return "".join(f"<div class='card'><b>{value}</b>{escape(name)}</div>" for name, value in tiles)


def _chart(name: str, row: dict[str, Any]) -> str:
    figures = ", ".join(
        f"{word} {row[key]:,.4g}"
        for word, key in (("mean", "mean"), ("median", "median"), ("95 %", "p95"), ("most", "most"))
    )
    return (
        f"<div class='card'><h3>{escape(name)}</h3><div class='soft'>{figures}</div>"
        f"{histogram(name, row['histogram'])}</div>"
    )


def _words(vocabulary: dict[str, Any]) -> str:
    parts = []
    for title, key in (("Most common words", "most_common"), ("Words with [UNK]", "unknown")):
        if vocabulary[key]:
            items = "".join(
                f"<li>{escape(word)} <span class='soft'>{count:,}</span></li>"
                for word, count in vocabulary[key]
            )
            parts.append(f"<h2>{title}</h2><ul class='card words'>{items}</ul>")
    return "".join(parts)


def _figure(picture: Picture) -> str:
    caption = escape(" / ".join(picture.captions))
    shown = "<div class='none'>no picture</div>"
    if picture.data:
        kind = TYPES.get(picture.extension, picture.extension)
        shown = embedded(picture.data, kind, picture.captions[0])
    return (
        f'<figure title="{escape(picture.key)}">{shown}<figcaption>{caption}</figcaption></figure>'
    )
