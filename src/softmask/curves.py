"""What a run logged as curves in inline SVG, each with words that say the same."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

Series = Mapping[int, float]
"""Values by step."""

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 480, 200, 56, 10, 10, 24
BUCKETS = 150
"""A longer curve keeps the least and the largest value of so many stretches."""
GROUPS = ("train/", "val/", "lr", "perf/", "data/")
"""What is drawn, in this order."""
DASHES = ("none", "7 3", "2 3", "9 3 2 3", "1 4", "14 4")
STYLE = """
.curves { grid-template-columns: repeat(auto-fill, minmax(min(100%, 360px), 1fr)); }
.curves polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.curves line { stroke: var(--rule); }
.curves text { fill: var(--soft); font-size: 12px; }
.curves ul { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 14px; margin: 6px 0 0;
  padding: 0; font-size: 13px; }
.curves li svg { display: inline-block; width: 26px; height: 10px; margin-right: 4px; }
.l0 { stroke: #3567c8; } .l1 { stroke: #b3501e; } .l2 { stroke: #1f7a4d; }
.l3 { stroke: #8a3fb0; } .l4 { stroke: #5b6472; } .l5 { stroke: #a01f5c; }
@media (prefers-color-scheme: dark) { .l0 { stroke: #7ba4f2; } .l1 { stroke: #f0a070; }
  .l2 { stroke: #6fd0a0; } .l3 { stroke: #cf9bf0; } .l4 { stroke: #b5bcc8; }
  .l5 { stroke: #f08ab8; } }
"""
LEGEND = 20
"""Height of a line of text in a file of its own."""
INK = """
.curves { --soft: #5b6472; --rule: #dde1e7; font-family: system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { .curves { --soft: #9aa4b2; --rule: #333a45; } }
"""
"""What a page gives its charts; a file has no page around it."""


class Chart(NamedTuple):
    """Curves that share their axes."""

    title: str
    lines: Mapping[str, Series]  # by name, none of them empty
    unit: str = "step"  # of what the values are by


def charts(scalars: Mapping[str, Series]) -> list[Chart]:
    """Sort what was logged into charts: a family, such as `train/accuracy/*`, shares one.

    Args:
        scalars: by tag; values that are not finite are left out.
    """
    families: dict[str, dict[str, Series]] = {}
    for tag in sorted(scalars, key=place):
        finite = {step: v for step, v in scalars[tag].items() if math.isfinite(v)}
        if finite and tag.startswith(GROUPS):
            title = family(tag)
            name = tag.removeprefix(title).lstrip("/") or tag
            families.setdefault(title, {})[name] = finite
    return [Chart(title, lines) for title, lines in families.items()]


def family(tag: str) -> str:
    """What a tag shares its chart with: `val/itc/i2t@5` gives `val/itc/i2t@`, most are alone."""
    if "@" in tag:
        return tag.partition("@")[0] + "@"
    parent = tag.rpartition("/")[0]
    return parent if parent.count("/") or parent == "lr" else tag


def draw(chart: Chart) -> str:
    """A chart with its title and its legend, as HTML."""
    axes = _Axes.of(chart.lines.values())
    drawn = "".join(
        _line(axes, thinned(line), number) for number, line in enumerate(chart.lines.values())
    )
    said = escape(f"{chart.title}. {'. '.join(spoken(chart))}.", quote=True)
    keys = "".join(
        f'<li><svg viewBox="0 0 26 10" aria-hidden="true">{_stroke([(0, 5), (26, 5)], number)}'
        f"</svg>{escape(name)} <b>{line[max(line)]:.4g}</b></li>"
        for number, (name, line) in enumerate(chart.lines.items())
    )
    return (
        f'<figure><h3>{escape(chart.title)}</h3><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{said}">{axes.drawn(chart.unit)}{drawn}</svg><ul>{keys}</ul></figure>'
    )


def picture(chart: Chart) -> str:
    """A chart as an SVG file of its own, with its title above and its legend below."""
    axes = _Axes.of(chart.lines.values())
    drawn, keys = "", ""
    for number, (name, line) in enumerate(chart.lines.items()):
        y = HEIGHT + LEGEND * (number + 1)
        drawn += _line(axes, thinned(line), number)
        keys += _stroke([(LEFT, y - 4), (LEFT + 26, y - 4)], number)
        keys += f'<text x="{LEFT + 34}" y="{y}">{escape(name)}: {line[max(line)]:.4g}</text>'
    plot = f'<g transform="translate(0 {LEGEND})">{axes.drawn(chart.unit)}{drawn}{keys}</g>'
    return alone(chart.title, spoken(chart), plot, HEIGHT + LEGEND * (len(chart.lines) + 2))


def alone(title: str, said: Sequence[str], plot: str, height: int) -> str:
    """An SVG file, in light and in dark.

    Args:
        title: written above.
        said: what is to be seen, in words.
        plot: elements below the title's line.
        height: of all, at a width of `WIDTH`.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" class="curves" role="img">\n'
        f"<title>{escape(title)}</title>\n<desc>{escape('. '.join(said))}.</desc>\n"
        f"<style>{INK}{STYLE}</style>\n"
        f'<text x="6" y="{LEGEND - 6}">{escape(title)}</text>\n{plot}\n</svg>\n'
    )


def spoken(chart: Chart) -> list[str]:
    """What each curve does, in words."""
    return [
        f"{name}: {line[min(line)]:.4g} at {chart.unit} {min(line)}, {line[max(line)]:.4g} at "
        f"{chart.unit} {max(line)}, least {min(line.values()):.4g}, most {max(line.values()):.4g}"
        for name, line in chart.lines.items()
    ]


def thinned(line: Series, buckets: int = BUCKETS) -> list[tuple[int, float]]:
    """Points of a curve in order; of many, the least and the largest of each stretch."""
    points = sorted(line.items())
    size = -(-len(points) // buckets)
    if size <= 2:
        return points
    kept = {points[0], points[-1]}
    for start in range(0, len(points), size):
        part = points[start : start + size]
        kept |= {min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])}
    return sorted(kept)


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers within a range, about as many as wanted; at least one."""
    span = high - low
    if span <= 0:
        return [low]
    rough = span / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(digit * power for digit in (1, 2, 2.5, 5, 10) if digit * power >= rough)
    first = math.ceil(low / step - 1e-9)
    found = [n * step for n in range(first, first + 2 * wanted + 2)]
    return [value for value in found if value <= high + 1e-9 * step] or [low]


class _Axes(NamedTuple):
    first: int
    last: int
    low: float
    high: float

    @classmethod
    def of(cls, lines: Iterable[Series]) -> "_Axes":
        known = list(lines)
        steps = [step for line in known for step in line]
        values = [value for line in known for value in line.values()]
        low, high = min(values), max(values)
        if high - low <= 1e-9 * max(abs(low), abs(high)):  # a flat curve runs in the middle
            pad = abs(low) / 2 or 1.0
            low, high = low - pad, high + pad
        return cls(min(steps), max(steps), low, high)

    def place(self, step: float, value: float) -> tuple[float, float]:
        across = (step - self.first) / max(self.last - self.first, 1)
        up = (value - self.low) / (self.high - self.low)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * _ROOM

    def drawn(self, unit: str) -> str:
        parts = []
        for value in ticks(self.low, self.high):
            y = self.place(self.first, value)[1]
            parts.append(
                f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>'
                f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>'
            )
        for step, anchor in {self.first: "start", self.last: "end"}.items():
            x = self.place(step, self.low)[0]
            parts.append(
                f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{unit} {step:,}</text>'
            )
        return "".join(parts)


_ROOM = HEIGHT - TOP - BOTTOM


def _line(axes: _Axes, points: Sequence[tuple[int, float]], number: int) -> str:
    places = [axes.place(*point) for point in points]
    if len(places) == 1:  # a point alone has no length
        x, y = places[0]
        places = [(x - 2, y), (x + 2, y)]
    return _stroke(places, number)


def _stroke(places: Iterable[tuple[float, float]], number: int) -> str:
    """A line in the colour and, as colours alone say little, the dashes of its number."""
    shown = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    look = number % len(DASHES)
    return f'<polyline class="l{look}" stroke-dasharray="{DASHES[look]}" points="{shown}"/>'


def place(tag: str) -> tuple[int, bool, str]:
    """Groups in their order, whole losses before their parts."""
    group = next((n for n, name in enumerate(GROUPS) if tag.startswith(name)), len(GROUPS))
    counted = re.sub(r"\d+", lambda number: number[0].zfill(4), tag)  # 5 before 10
    return group, tag not in ("train/loss", "val/recall"), counted
