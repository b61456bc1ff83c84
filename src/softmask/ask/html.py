"""Pages that need no other file and no network."""

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO
from typing import Literal

from PIL import Image

STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5b6472; --ground: #f5f6f8;
  --card: #fff; --rule: #cfd5dd; --mark: #b3202a; --focus: #1f5fd0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #a5aebb; --ground: #14171c;
  --card: #1e232b; --rule: #3a424e; --mark: #ff8a8a; --focus: #8ab4ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1560px; padding: 16px; background: var(--ground);
  color: var(--ink); font: 16px/1.45 system-ui, sans-serif; }
h1, h2 { overflow-wrap: anywhere; margin: 8px 0; }
h1 { font-size: 24px; }
h2 { font-size: 20px; }
p { margin: 6px 0; overflow-wrap: anywhere; }
article { margin: 28px 0; }
.soft { color: var(--soft); font-size: 14px; }
.grid { display: grid; gap: 12px; margin: 12px 0; padding: 0; list-style: none;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 230px), 1fr)); }
@media (max-width: 520px) { article .grid { grid-template-columns: 1fr 1fr; gap: 8px; } }
figure { margin: 0; background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  overflow: hidden; min-width: 0; }
figure a { display: block; }
figure img { display: block; width: 100%; height: auto; }
figure img.map { background-image: var(--picture); background-size: 100% 100%; }
figure:target { grid-column: 1 / -1; width: 100%; max-width: 720px; }
figcaption { padding: 8px 10px; overflow-wrap: anywhere; }
figcaption b { color: var(--mark); }
a:focus-visible { outline: 3px solid var(--focus); outline-offset: -3px; }
"""


def document(title: str, body: Sequence[str]) -> str:
    """A page of a title and pieces of HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1>{''.join(body)}</main></body></html>\n"
    )


def data_uri(picture: Image.Image, kind: Literal["jpeg", "png"]) -> str:
    """A picture as an address that holds it."""
    data = BytesIO()
    picture.save(data, kind, quality=88)
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode('ascii')}"


def fitted(picture: Image.Image, side: int) -> Image.Image:
    """A picture no larger than a square; a smaller one stays."""
    scale = min(1.0, side / max(picture.size))
    width, height = (max(round(length * scale), 1) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)
