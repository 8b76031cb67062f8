"""Latencies by percentile, drawn with characters."""

from collections.abc import Iterator, Mapping
from math import log10

from hdrh.histogram import HdrHistogram

BARS = "▁▂▃▄▅▆▇█"
SIGNS = "o+x*"
WIDTH, HEIGHT = 64, 12
NINES = 4.0
"""The right end: p99.99."""
TICKS = (0.0, 50.0, 90.0, 99.0, 99.9)


def sketch(curves: Mapping[str, HdrHistogram], width: int = WIDTH, height: int = HEIGHT) -> Iterator[str]:
    """Lines: to the right the percentile, as far as there are measurements for it; upwards milliseconds, logarithmic."""
    points = {sign: list(_points(times, width)) for sign, times in zip(SIGNS, curves.values(), strict=False)}
    heights = [ms for line in points.values() for _, ms in line]
    if not heights:
        return
    low, high = log10(min(heights)), log10(max(heights))
    cells = [[" "] * width for _ in range(height)]
    for sign, line in points.items():
        for column, ms in line:
            cells[height - 1 - round((log10(ms) - low) / ((high - low) or 1) * (height - 1))][column] = sign
    for row, letters in enumerate(cells):
        ms = 10 ** (high - (high - low) * row / (height - 1))
        yield f"{ms:9.2f} |{''.join(letters).rstrip()}"
    yield f"{'ms':>9} +{'-' * width}"
    yield " " * 11 + _ticks(width)
    yield " " * 11 + "   ".join(f"{sign} {name}" for sign, name in zip(SIGNS, curves, strict=False))


def _points(times: HdrHistogram, width: int) -> Iterator[tuple[int, float]]:
    count = times.get_total_count()
    for column in range(width):
        above = 10 ** (-NINES * column / (width - 1))
        if above * count >= 1:
            yield column, max(times.get_value_at_percentile(100 * (1 - above)), 1) / 1000


def _ticks(width: int) -> str:
    line = [" "] * (width + 6)
    for tick in TICKS:
        place = round(-log10(1 - tick / 100) / NINES * (width - 1)) if tick else 0
        label = f"p{tick:g}"
        line[place:place + len(label)] = label
    return "".join(line).rstrip()
