"""Histograms as inline SVG."""

from collections.abc import Mapping, Sequence
from html import escape

BARS = 24
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 360, 170, 44, 10, 22
NICE = (1, 2, 5)


def bins(counts: Mapping[int, int]) -> list[tuple[int, int, int]]:
    """Put counted values into at most BARS bins of one round width.

    Args:
        counts: by value.

    Returns:
        First value, last value and count of each bin, empty ones between others included.
    """
    least, most = min(counts), max(counts)
    width = _nice((most - least + BARS) // BARS)
    if most // width - least // width >= BARS:  # the grid begins before the least value
        width = _nice(width + 1)
    first, last = least // width, most // width
    heights = [0] * (last - first + 1)
    for value, count in counts.items():
        heights[value // width - first] += count
    return [
        ((first + number) * width, (first + number + 1) * width - 1, height)
        for number, height in enumerate(heights)
    ]


def histogram(title: str, counts: Mapping[int, int]) -> str:
    """Draw counted values.

    Args:
        title: read aloud in place of the picture.
        counts: by value; at least one.
    """
    bars = bins(counts)
    highest = max(count for _, _, count in bars)
    step = (WIDTH - LEFT) / len(bars)
    room = HEIGHT - TOP - BOTTOM
    drawn = []
    for number, (low, high, count) in enumerate(bars):
        height = room * count / highest
        name = str(low) if low == high else f"{low} to {high}"
        drawn.append(
            f'<rect x="{LEFT + number * step + 0.5:.1f}" y="{TOP + room - height:.1f}" '
            f'width="{max(1, min(step - 1, 40)):.1f}" height="{height:.1f}">'
            f"<title>{name}: {count:,}</title></rect>"
        )
    said = escape(f"Histogram of {title}: from {min(counts)} to {max(counts)}")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">'
        f"{''.join(drawn)}{_axes(bars, step, highest)}</svg>"
    )


def _axes(bars: Sequence[tuple[int, int, int]], step: float, highest: int) -> str:
    floor = HEIGHT - BOTTOM
    every = -(-len(bars) // 8)
    labels = [
        f'<text x="{LEFT + number * step:.1f}" y="{HEIGHT - 6}">{low:,}</text>'
        for number, (low, _, _) in enumerate(bars)
        if number % every == 0 and number <= len(bars) - every / 2
    ]
    return (
        f'<line x1="{LEFT}" y1="{floor}" x2="{WIDTH}" y2="{floor}"/>'
        f'<text x="{LEFT - 5}" y="{TOP + 8}" text-anchor="end">{_short(highest)}</text>'
        f'<text x="{LEFT - 5}" y="{floor}" text-anchor="end">0</text>{"".join(labels)}'
    )


def _nice(width: int) -> int:
    power = 1
    while True:
        for digit in NICE:
            if digit * power >= width:
                return digit * power
        power *= 10


def _short(count: int) -> str:
    for limit, letter in ((1_000_000, "M"), (1000, "k")):
        if count >= 10 * limit:
            return f"{count / limit:.0f} {letter}"
        if count >= limit:
            return f"{count / limit:.1f} {letter}"
    return str(count)
