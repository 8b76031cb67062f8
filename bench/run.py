"""`python -m bench.run` (`make bench`, `make bench-full`): the workloads, ours beside others, and a report of them in bench/results/."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import guard, report, show
from bench.build import NoCompiler, built
from bench.generate import Broken
from bench.lab import Lab, Row
from bench.servers.kinds import ACCELERATED, KINDS, LOOP, OURS
from bench.workloads import NAMES, workload

RESULTS = Path(__file__).parent / "results"
QUICK = (LOOP, OURS, "ws", "Socket.IO", "Centrifuge")
"""Who takes part in the short run."""


def rows(lab: Lab, names: Sequence[str], plan: str) -> Iterator[Row]:
    """Of all these workloads. One that breaks down is said, and the next goes on."""
    for name in names:
        chosen = workload(name)
        try:
            yield from chosen.measure(lab, chosen.plans[plan])
        except (Broken, OSError, RuntimeError) as failed:
            lab.left_out.append(f"{name}: {failed}")
            lab.tell(f"{name} broke down: {failed}")


def _facts(lab: Lab) -> list[tuple[str, str]]:
    """What no workload measures: how long a start takes, and a list."""
    facts = []
    for of in (show.start_up, show.lists):
        lab.tell(f"{of.__name__}")
        try:
            facts += of()
        except (Broken, OSError, RuntimeError) as failed:
            lab.left_out.append(f"{of.__name__}: {failed}")
    return facts


def main() -> int:
    """Measure, report, compare. 1 when something was wrong with what ours sent, or ours is slower than it was."""
    asked = _asked()
    try:
        built("generate")
        built("ceiling")
    except NoCompiler as missing:
        print(f"bench: {missing}", file=sys.stderr)
        return 1
    missing_peers = [label for label in asked.servers if not KINDS[label].installed]
    with tempfile.TemporaryDirectory(prefix="caas-bench-") as folder:
        lab = Lab(Path(folder), asked.servers)
        lab.left_out += [f"{label}: not installed (`make {'accelerator' if label == ACCELERATED else 'bench-peers'}`)" for label in missing_peers]
        found = []
        for row in rows(lab, asked.only, asked.plan):
            found.append(row)
            print(report.line(row), flush=True)
        facts = _facts(lab) if asked.plan != "tiny" and asked.only == NAMES else []
    print(report.write(found, asked.into, f"The bench, {asked.plan}", lab.left_out, facts).read_text())
    return guard.main_of(found, record=asked.record) or int(any(row.faults for row in found if row.server.startswith(OURS)))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--plan", choices=("tiny", "short", "full"), default="short", help="how much (default: short, some five minutes)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=NAMES, help="workloads, with commas between them (default: all)")
    parser.add_argument("--servers", type=lambda text: text.split(";"), help="who takes part, with semicolons between them")
    parser.add_argument("--into", type=Path, help="the folder of the report (default: bench/results/PLAN)")
    parser.add_argument("--record", action="store_true", help="keep the ratios as those that later runs are held against")
    asked = parser.parse_args()
    asked.into = asked.into or RESULTS / asked.plan
    asked.servers = asked.servers or (tuple(KINDS) if asked.plan == "full" else QUICK)
    for name in (*(one for one in asked.servers if one not in KINDS), *(one for one in asked.only if one not in NAMES)):
        parser.error(f"there is no {name}; servers: {'; '.join(KINDS)}. workloads: {', '.join(NAMES)}")
    return asked


if __name__ == "__main__":
    sys.exit(main())
