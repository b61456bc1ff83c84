"""A run on one HTML page: what came out, how it got there, and how to repeat it."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from softmask.curves import STYLE as CURVES
from softmask.curves import charts, draw, place
from softmask.pages import document, picture, table

STYLE = (
    CURVES
    + """
.pictures { grid-template-columns: repeat(auto-fill, minmax(min(100%, 620px), 1fr));
  align-items: start; }
.pictures img { display: block; max-width: 100%; height: auto; margin: auto; }
/* Their letters could not be read any smaller: they scroll instead. */
@media (max-width: 660px) { .pictures img { max-width: none; } }
.wide { overflow-x: auto; margin: 0 0 12px; }
.tables { margin-bottom: 12px; }
.tables .wide { margin: 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: 6px; }
th, td { text-align: left; padding: 3px 18px 3px 0; border-top: 1px solid var(--rule);
  font-weight: 400; vertical-align: top; }
@media (max-width: 480px) { th, td { padding-right: 8px; font-size: 13px; } }
td:nth-child(2):last-child { overflow-wrap: anywhere; }
thead th { color: var(--soft); font-size: 13px; border: 0; white-space: nowrap; }
pre { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 12px;
  overflow-x: auto; font-size: 13px; }
.tables { grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr));
  align-items: start; }
:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px; }
summary { cursor: pointer; }
"""
)
KNOWN = ("corpus", "data", "train_seconds", "steps", "parameters")
"""Of a report, what the table of the run says too."""


class Panel(NamedTuple):
    """A picture of a run."""

    title: str
    data: bytes  # of a PNG
    alt: str


class RunStory(NamedTuple):
    """All that a run's page tells."""

    title: str
    facts: Mapping[str, str]
    report: Mapping[str, Any]  # of the last test; empty when there was none
    scalars: Mapping[str, Mapping[int, float]]
    panels: Sequence[Panel]
    command: str
    settings: str  # as YAML


def run_page(story: RunStory) -> str:
    """Lay a run out."""
    parts = [
        f"<h1>{escape(story.title)}</h1>",
        "<h2>Result</h2>",
        *_result(story),
        "<h2>Curves</h2>",
        *_curves(story.scalars),
        "<h2>What it sees</h2>",
        *_panels(story.panels),
        "<h2>The run</h2>",
        table("What ran", ("fact", "value"), story.facts.items()),
        f'<h2>To repeat it</h2><pre tabindex="0">{escape(story.command)}</pre>',
        "<h2>Settings</h2><details><summary>config.yaml</summary>"
        f'<pre tabindex="0">{escape(story.settings)}</pre></details>',
    ]
    return document(story.title, f"<main>{''.join(parts)}</main>", STYLE)


def report_tables(report: Mapping[str, Any]) -> dict[str, list[tuple[str, str, str]]]:
    """The numbers of a report by place, such as `itc/i2t`: name, value, interval or nothing."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for where, name, value, interval in _walk(report, ""):
        found.setdefault(where, []).append((name, value, interval))
    return found


def _walk(report: Mapping[str, Any], place: str) -> Iterator[tuple[str, str, str, str]]:
    intervals = report.get("interval", {})
    for name, value in report.items():
        if isinstance(value, Mapping):
            if name != "interval":
                yield from _walk(value, f"{place}/{name}".lstrip("/"))
        elif not isinstance(value, list):
            ends = intervals.get(name)
            said = f"[{', '.join(map(_number, ends))}]" if ends else ""
            yield place, name, _number(value), said


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "not known" if value is None else str(value)


def _result(story: RunStory) -> Iterator[str]:
    tested = {k: v for k, v in story.report.items() if k not in KNOWN}
    if not tested:
        yield "<p>Not tested yet: <code>softmask test</code> has its own table.</p>"
    else:
        yield (
            f'<p class="soft">On {escape(str(story.report.get("corpus", "the test data")))}. '
            "Shares run from 0 to 1; brackets are 95 % bootstrap intervals.</p>"
        )
        tables = report_tables(tested).items()
        yield '<div class="grid tables">'
        yield from (_numbers(where or "test", rows) for where, rows in tables)
        yield "</div>"
    validated = {tag: line for tag, line in story.scalars.items() if tag.startswith("val/")}
    if validated:
        yield table(
            "Validation",
            ("figure", "last", "step", "least", "most"),
            (
                (tag, _number(line[max(line)]), str(max(line)), *_ends(line))
                for tag, line in sorted(validated.items(), key=lambda each: place(each[0]))
            ),
        )


def _ends(line: Mapping[int, float]) -> tuple[str, str]:
    return _number(min(line.values())), _number(max(line.values()))


def _numbers(place: str, rows: Sequence[tuple[str, str, str]]) -> str:
    if any(interval for *_, interval in rows):
        return table(place, ("figure", "value", "interval"), rows)
    return table(place, ("figure", "value"), (row[:2] for row in rows))


def _curves(scalars: Mapping[str, Mapping[int, float]]) -> Iterator[str]:
    drawn = charts(scalars)
    if not drawn:
        yield "<p>Nothing was trained here, or no TensorBoard logger wrote it down.</p>"
        return
    yield '<p class="soft">Beside each name stands its last value.</p><div class="grid curves">'
    yield from map(draw, drawn)
    yield "</div>"


def _panels(panels: Sequence[Panel]) -> Iterator[str]:
    if not panels:
        yield "<p>Nothing was drawn.</p>"
        return
    yield '<div class="grid pictures">'
    for panel in panels:
        title = escape(panel.title, quote=True)
        yield (
            f"<figure><h3>{escape(panel.title)}</h3>"
            f'<div class="wide" tabindex="0" role="region" aria-label="{title}">'
            f"{picture(panel.data, 'png', panel.alt)}</div>"
            f"<figcaption><details><summary>In words</summary>{escape(panel.alt)}</details>"
            "</figcaption></figure>"
        )
    yield "</div>"
