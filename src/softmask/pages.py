"""HTML pages that need no other file and no network."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO

from PIL import Image

STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5b6472; --ground: #f5f6f8;
  --card: #fff; --bar: #3567c8; --rule: #dde1e7; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa4b2; --ground: #14171c;
  --card: #1e232b; --bar: #7ba4f2; --rule: #333a45; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1560px; padding: 16px; background: var(--ground);
  color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 8px 0; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 28px 0 10px; }
h3 { font-size: 15px; margin: 0 0 4px; overflow-wrap: anywhere; }
.soft, figcaption { color: var(--soft); font-size: 13px; overflow-wrap: anywhere; }
.grid { display: grid; gap: 12px; }
.card, figure { background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  margin: 0; padding: 12px; min-width: 0; }
svg { display: block; width: 100%; height: auto; }
"""
"""What all pages look like, in light and in dark, narrow and wide."""


def document(title: str, body: str, style: str = "") -> str:
    """A whole page.

    Args:
        title: as text.
        body: as HTML; its headings begin with h1.
        style: CSS of this kind of page.
    """
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def picture(data: bytes, kind: str, alt: str) -> str:
    """An image inside of the page, which keeps its place before it is decoded.

    Args:
        data: the file's bytes.
        kind: png, jpeg and so on.
        alt: what it shows, as text.
    """
    with Image.open(BytesIO(data)) as image:
        size = f'width="{image.width}" height="{image.height}"'
    said = escape(alt, quote=True)
    return f'<img alt="{said}" {size} loading="lazy" src="{data_uri(data, kind)}">'


def data_uri(data: bytes, kind: str) -> str:
    """An image as an address that holds it.

    Args:
        data: the file's bytes.
        kind: png, jpeg and so on.
    """
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls by itself where it is wider than the window.

    Args:
        title: of the table, as text.
        heads: of its columns, as text.
        rows: cells as text; the first one of a row is its head.
    """
    named = escape(title, quote=True)
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="card wide" tabindex="0" role="region" aria-label="{named}"><table>'
        f"<caption>{escape(title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )
