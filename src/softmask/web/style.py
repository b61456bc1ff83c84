"""How the pages of `softmask demo` look, beside what all pages of answers share."""

from softmask.ask import html

STYLE = (
    html.STYLE
    + """
nav ul { display: flex; flex-wrap: wrap; gap: 6px; margin: 0 0 14px; padding: 0;
  list-style: none; }
nav a { display: block; padding: 8px 12px; border-radius: 8px; color: inherit;
  text-decoration: none; border: 1px solid var(--rule); background: var(--card); }
nav a[aria-current] { border-color: var(--bar); box-shadow: inset 0 -3px var(--bar);
  font-weight: 600; }
form { max-width: 760px; display: grid; gap: 12px; }
form label, form .field { display: grid; gap: 4px; min-width: 0; }
.choice { display: grid; gap: 6px; border: 0; margin: 0; padding: 0; min-width: 0; }
.choice legend { padding: 0 0 4px; }
.choice label { display: flex; gap: 8px; align-items: baseline; cursor: pointer; }
input[type=text], input[type=file] { font: inherit; width: 100%; padding: 9px; color: inherit;
  background: var(--card); border: 1px solid var(--soft); border-radius: 8px; }
button { font: inherit; font-weight: 600; padding: 10px 18px; border: 0; border-radius: 8px;
  justify-self: start; color: #fff; background: #2a58b5; cursor: pointer; }
.pair { display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 260px), 1fr)); }
.kept { max-width: 100%; max-height: 180px; border-radius: 8px; justify-self: start; }
.error { border-left: 5px solid var(--mark); padding: 10px 14px; background: var(--card);
  max-width: 760px; margin: 16px 0; }
.answer { max-width: 760px; }
.answer li { margin: 6px 0; }
.answer li span { display: inline-block; width: min(34%, 160px); overflow-wrap: anywhere;
  vertical-align: middle; }
meter { width: min(44%, 320px); height: 14px; vertical-align: middle; }
.words { display: flex; flex-wrap: wrap; gap: 6px; border: 0; margin: 12px 0; padding: 0;
  min-width: 0; max-width: 760px; }
.words legend { padding: 0 0 6px; }
.words input { position: absolute; opacity: 0; }
.words label { padding: 6px 12px; border: 1px solid var(--soft); border-radius: 99px;
  cursor: pointer; background: var(--card); overflow-wrap: anywhere; }
.words input:checked + label { background: var(--mark); border-color: var(--mark);
  color: var(--card); }
.words figure { order: 1; flex-basis: 100%; display: none; border: 0; border-radius: 0;
  background: none; }
/* A map and the words that it is chosen by fit in one window. */
.words figure img { width: min(100%, max(240px, 72vh * var(--ratio))); border-radius: 8px; }
.words figcaption { padding: 8px 0; }
.words input:checked + label + figure { display: block; }
.hits { grid-template-columns: repeat(auto-fill, minmax(min(100%, 170px), 1fr)); }
figure.hit img { width: 100%; height: 170px; object-fit: contain; background: var(--ground); }
a:focus-visible, button:focus-visible, input:focus-visible,
.words input:focus-visible + label { outline: 3px solid var(--focus); outline-offset: 2px; }
"""
)
