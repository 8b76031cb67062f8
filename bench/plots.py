"""Pictures: what a case cost each server, and how late its deliveries were, by percentile."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

from hdrh.histogram import HdrHistogram
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.lab import Row

COLUMNS = 2
PERCENTILES = (0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99)
OURS, OTHERS = "#d2691e", "#8fa3b5"
TICKS = (50.0, 90.0, 99.0, 99.9, 99.99)


def draw(rows: Sequence[Row], into: Path) -> bool:
    """A picture of a workload. False when there is nothing to show."""
    bars = [(case, some) for case in dict.fromkeys(row.case for row in rows)
            if len(some := [row for row in rows if row.case == case and "CPU-s" in "".join(row.figures)]) > 1]
    curves = [(what, case, [(row.server, row.times[what]) for row in rows if row.case == case and what in row.times])
              for case, what in dict.fromkeys((row.case, what) for row in rows for what, times in row.times.items() if times.get_total_count())]
    if not bars and not curves:
        return False
    lines = ceil((len(bars) + len(curves)) / COLUMNS)
    figure = Figure(figsize=(7 * COLUMNS, 3.6 * lines), layout="constrained")
    places = iter(figure.subplots(lines, COLUMNS, squeeze=False).flat)
    for case, some in bars:
        _bars(next(places), case, some)
    for what, case, lines_of in curves:
        _curves(next(places), f"{what}: {case}", lines_of)
    for place in places:
        place.set_axis_off()
    figure.savefig(into, dpi=90)
    return True


def draw_times(curves: Mapping[str, HdrHistogram], into: Path) -> None:
    """One picture of these."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    _curves(figure.subplots(), "latency by percentile", list(curves.items()))
    figure.savefig(into, dpi=110)


def _bars(place: Axes, case: str, rows: Sequence[Row]) -> None:
    what = next(name for name in rows[0].figures if "CPU-s" in name)
    values = [row.figures.get(what, 0.0) for row in rows]
    drawn = place.barh([row.server for row in rows], values, color=[OURS if row.server.startswith("caas") else OTHERS for row in rows])
    place.bar_label(drawn, [f"{value:,.0f}" for value in values], padding=3, fontsize=8)
    place.invert_yaxis()
    place.xaxis.set_major_formatter("{x:,.0f}")
    place.margins(x=0.15)
    place.set_title(f"{what}\n{case}", fontsize=9)


def _curves(place: Axes, title: str, curves: Sequence[tuple[str, HdrHistogram]]) -> None:
    for name, times in curves:
        count = times.get_total_count()
        if not count:
            continue
        shown = [one for one in PERCENTILES if one == 0 or (1 - one / 100) * count >= 1]  # no more nines than there are measurements for
        place.plot([_nines(one) for one in shown], [times.get_value_at_percentile(one) / 1000 for one in shown],
                   label=name, **({"linewidth": 2.4, "color": OURS} if name == "caas" else {"linewidth": 1.2}))
    place.set_xscale("log")
    place.set_xticks([_nines(one) for one in TICKS], [f"p{one:g}" for one in TICKS])
    place.minorticks_off()
    place.set_yscale("log")
    place.yaxis.set_major_formatter("{x:g}")
    place.yaxis.set_minor_formatter("")
    place.set_ylabel("ms")
    place.grid(visible=True, alpha=0.3)
    place.set_title(title, fontsize=9)
    place.legend(fontsize=7)


def _nines(percentile: float) -> float:
    return 1 / (1 - percentile / 100)
