"""Whether ours has become slower: its ratios to the C loop and to `ws`, held against those that were recorded.

Ratios within one run, not figures: a slower machine slows all alike. A figure counts as slower when it has fallen against both of them: where it
fell against one alone, that one has had a good moment. What is measured at a fixed rate is left out: mostly idle, a server's processor time says how
cold its caches were. `python -m bench.run --record` keeps what it found as what holds.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.lab import Row
from bench.servers.kinds import LOOP, OURS

RECORDED = Path(__file__).parent / "recorded.json"
LEEWAY = 0.15
BASES = (LOOP, "ws")
Ratios = Mapping[str, Mapping[str, float]]
"""Of each figure of ours, by name: what it is to each base."""


def ratios(rows: Sequence[Row]) -> Ratios:
    """Case by case, of every figure for each second of processor. Where a row has the median of its rounds' ratios, that is it."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        for base in rows:
            if row.server.partition(",")[0] == OURS and base.server in BASES and (base.workload, base.case) == (row.workload, row.case):
                for name, value in row.figures.items():
                    if name.endswith("CPU-s") and base.figures.get(name) and not _fixed(row.case):
                        by_rounds = row.figures.get("of the C loop") if base.server == LOOP else None
                        found.setdefault(f"{row.workload}, {row.case}, {name}", {})[base.server] = round(by_rounds or value / base.figures[name], 4)
    return found


def worse(now: Ratios, recorded: Ratios) -> list[str]:
    """A sentence for each figure that fell by more than the leeway, against each base that was recorded. Where one of these took no part, the
    figure is not judged: the other's good moment would look like our bad one."""
    return [f"{name}: {_said(now[name], before)}" for name, before in recorded.items()
            if before.keys() <= now.get(name, {}).keys() and all(now[name][base] < was * (1 - LEEWAY) for base, was in before.items())]


def unjudged(now: Ratios, recorded: Ratios) -> list[str]:
    """The bases for want of which figures that were measured are not judged."""
    return sorted({base for name, before in recorded.items() if name in now for base in before.keys() - now[name].keys()})


def main_of(rows: Sequence[Row], *, record: bool) -> int:
    """Record, or compare and say what is worse. The exit code."""
    now = ratios(rows)
    recorded: Ratios = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    if record:
        RECORDED.write_text(json.dumps({**recorded, **now}, indent=1) + "\n")
        return 0
    found = worse(now, recorded)
    if missing := unjudged(now, recorded):
        print(f"not held against what was recorded, for want of {' and '.join(missing)}", file=sys.stderr)
    for line in found:
        print(f"SLOWER {line}", file=sys.stderr)
    return int(bool(found))


def _fixed(case: str) -> bool:
    return " rate" in case or "messages/s" in case


def _said(now: Mapping[str, float], before: Mapping[str, float]) -> str:
    return "; ".join(f"to {base} {now[base]:.3f}, recorded {was:.3f} ({now[base] / was - 1:+.0%})" for base, was in before.items() if base in now)
