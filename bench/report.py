"""A report of what was measured: Markdown with a table for each case and a picture for each workload, HdrHistogram files, and the figures as JSON."""

import json
import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import groupby
from pathlib import Path

from bench.lab import Row
from bench.machine import load, machine, peers
from bench.workloads import workload

INTRODUCTION = """How to read it: docs/bench.md. Servers on one core, the generator on another, all of a comparison alive at once and taking turns.
Compare figures of one report with each other, not with another machine's."""


def write(rows: Sequence[Row], into: Path, title: str, left_out: Sequence[str] = (), facts: Sequence[tuple[str, str]] = ()) -> Path:
    """Everything, into a folder. The page."""
    into.mkdir(parents=True, exist_ok=True)
    page = into / "report.md"
    page.write_text("\n".join(_page(rows, into, title, left_out, facts)) + "\n")
    (into / "figures.json").write_text(json.dumps([_plain(row) for row in rows], indent=1) + "\n")
    for row in rows:
        for what, times in row.times.items():
            if times.get_total_count():
                text = BytesIO()
                times.output_percentile_distribution(text, 1000.0)
                folder = into / "hdr" / row.workload
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{_slug(row.case)}.{_slug(row.server)}.{_slug(what)}.hgrm").write_bytes(text.getvalue())
    return page


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of one case, a server each."""
    columns = list(dict.fromkeys(name for row in rows for name in row.figures))
    lines = ["| server | " + " | ".join(columns) + " | wrong | when answered |", "|---|" + "---:|" * len(columns) + "---|---|"]
    for row in rows:
        figures = " | ".join(figure(name, row.figures[name]) if name in row.figures else "" for name in columns)
        wrong = ", ".join(f"**{count:,} {name}**" for name, count in row.faults.items()) or "nothing"
        lines.append(f"| {row.server} | {figures} | {wrong} | {row.durability} |")
    return lines


def line(row: Row) -> str:
    """A row in one line."""
    figures = ", ".join(f"{name} {figure(name, value)}" for name, value in row.figures.items())
    return f"{row.workload}, {row.case}, {row.server}: {figures}" + "".join(f", WRONG: {count} {name}" for name, count in row.faults.items())


def figure(name: str, value: float) -> str:
    """With as many digits as mean something."""
    if name.startswith("of "):
        return f"{value:.2f}" if value else ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _page(rows: Sequence[Row], into: Path, title: str, left_out: Sequence[str], facts: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield from (f"# {title}", "", *(f"- {line}" for line in (*machine(), *peers(), load())))
    yield from (f"- left out: {line.splitlines()[0]}" for line in left_out)
    yield from ("", INTRODUCTION)
    for name, of_workload in groupby(rows, lambda row: row.workload):
        some = list(of_workload)
        about, _, more = workload(name).about.partition("\n")
        yield from ("", f"## {about}", "", more.strip(), "")
        if picture := _picture(some, into / f"{name}.png"):
            yield from (f"![{name}]({picture})", "")
        for case in dict.fromkeys(row.case for row in some):
            yield from (f"### {case}", "", *table([row for row in some if row.case == case]), "")


    if facts:
        yield from ("", "## Besides", "", "| what | figure |", "|---|---|", *(f"| {what} | {said} |" for what, said in facts))


def _picture(rows: Sequence[Row], into: Path) -> str:
    try:
        from bench.plots import draw
    except ModuleNotFoundError:  # pictures need matplotlib, which is there in development only
        return ""
    return into.name if draw(rows, into) else ""


def _plain(row: Row) -> dict[str, object]:
    return {"workload": row.workload, "case": row.case, "server": row.server, "figures": dict(row.figures), "faults": dict(row.faults)}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
