"""What pages that answer a question share, beside what all pages do."""

from collections.abc import Sequence
from html import escape
from io import BytesIO
from typing import Literal

from PIL import Image

from softmask import pages

STYLE = """
:root { --mark: #b3202a; --focus: #1f5fd0; }
@media (prefers-color-scheme: dark) { :root { --mark: #ff8a8a; --focus: #8ab4ff; } }
p { margin: 6px 0; overflow-wrap: anywhere; }
article { margin: 28px 0; }
h2 { overflow-wrap: anywhere; }
.grid { margin: 12px 0; padding: 0; list-style: none;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 230px), 1fr)); }
@media (max-width: 520px) { article .grid { grid-template-columns: 1fr 1fr; gap: 8px; } }
figure { padding: 0; overflow: hidden; }
figure a { display: block; }
figure img { display: block; width: 100%; height: auto; }
figure img.map { background-image: var(--picture); background-size: 100% 100%; }
figure:target { grid-column: 1 / -1; width: 100%; max-width: 720px; }
figcaption { padding: 8px 10px; }
figcaption b { color: var(--mark); }
a:focus-visible { outline: 3px solid var(--focus); outline-offset: -3px; }
"""


def document(title: str, body: Sequence[str]) -> str:
    """A page of a title and pieces of HTML."""
    return pages.document(title, f"<main><h1>{escape(title)}</h1>{''.join(body)}</main>", STYLE)


def data_uri(picture: Image.Image, kind: Literal["jpeg", "png"]) -> str:
    """A picture as an address that holds it."""
    data = BytesIO()
    picture.save(data, kind, quality=88)
    return pages.data_uri(data.getvalue(), kind)


def fitted(picture: Image.Image, side: int) -> Image.Image:
    """A picture no larger than a square; a smaller one stays."""
    scale = min(1.0, side / max(picture.size))
    width, height = (max(round(length * scale), 1) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)
