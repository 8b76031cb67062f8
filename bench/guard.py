"""Whether ours has become slower: ratios to the C loop and to `ws`, held against those that were recorded.

Ratios within one run, not figures: a slower machine slows all alike. `python -m bench.run --record` keeps what it found as what holds.
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


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """Ours to each base, case by case, of every figure for each second of processor."""
    found = {}
    for row in rows:
        for base in rows:
            if row.server.partition(",")[0] == OURS and base.server in BASES and (base.workload, base.case) == (row.workload, row.case):
                found.update({f"{row.workload}, {row.case}, {name}, to {base.server}": value / base.figures[name]
                              for name, value in row.figures.items() if name.endswith("CPU-s") and base.figures.get(name)})
    return found


def worse(now: Mapping[str, float], recorded: Mapping[str, float]) -> list[str]:
    """A sentence for each ratio that fell by more than the leeway."""
    return [f"{name}: {now[name]:.3f}, recorded {before:.3f} ({now[name] / before - 1:+.0%})"
            for name, before in recorded.items() if name in now and now[name] < before * (1 - LEEWAY)]


def main_of(rows: Sequence[Row], *, record: bool) -> int:
    """Record, or compare and say what is worse. The exit code."""
    now = {name: round(value, 4) for name, value in ratios(rows).items()}
    recorded: dict[str, float] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    if record:
        RECORDED.write_text(json.dumps({**recorded, **now}, indent=1) + "\n")
        return 0
    found = worse(now, recorded)
    for line in found:
        print(f"SLOWER {line}", file=sys.stderr)
    return int(bool(found))
