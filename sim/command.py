"""`caas sim`: run seeds of the simulated world; what fails says how to run it again."""

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Annotated

from cyclopts import Parameter

from sim.faults import FAULTS
from sim.play import Result, run

Seed = Annotated[int, Parameter(help="The first seed.")]
Count = Annotated[int, Parameter(help="How many seeds, one after the other.")]
Faults = Annotated[str, Parameter(help=f"all, none, or some of {', '.join(FAULTS)}, with commas between them.")]
Jobs = Annotated[int, Parameter(help="Processes that share the seeds; 0: one for each processor.")]
WORST = 5
"""Violations shown of a seed."""


def sim(*, seed: Seed = 1, count: Count = 1, faults: Faults = "all", jobs: Jobs = 1) -> int:
    """Let the simulated world go wrong in many ways, and check that nothing is lost, doubled or reordered. The same seed is the same run."""
    chosen = chosen_faults(faults)
    if unknown := [fault for fault in chosen if fault not in FAULTS]:
        print(f"caas: there is no fault `{unknown[0]}`: choose of {', '.join(FAULTS)}", file=sys.stderr)
        return 2
    began, report = time.monotonic(), Report()
    for result in results(range(seed, seed + count), chosen, jobs or os.cpu_count() or 1):
        report.add(result)
        if result.found:
            print(f"seed {result.seed} fails. Again: caas sim --seed {result.seed} --faults {faults}")
            print("\n".join(f"  {sentence}" for sentence in result.found[:WORST]), flush=True)
    print(report.text(time.monotonic() - began))
    return 1 if report.failed else 0


def chosen_faults(faults: str) -> list[str]:
    """By name."""
    return list(FAULTS) if faults == "all" else [fault for fault in faults.split(",") if fault and fault != "none"]


def results(seeds: Sequence[int], faults: Sequence[str], jobs: int) -> Iterator[Result]:
    """What comes of each, in order."""
    if jobs == 1:
        _quiet()
        yield from (run(seed, faults) for seed in seeds)
        return
    with ProcessPoolExecutor(jobs, initializer=_quiet) as pool:
        yield from pool.map(run, seeds, [faults] * len(seeds), chunksize=4)


def _quiet() -> None:
    """Trouble is what this is for: what the parts say about it is of no use here."""
    logging.disable(logging.CRITICAL)


class Report:
    """Sums over seeds."""

    def __init__(self) -> None:
        self.seeds = self.acknowledged = self.entries = 0
        self.failed: list[int] = []
        self.happened: Counter[str] = Counter()
        self.world_s = 0.0

    def add(self, result: Result) -> None:
        """One more seed."""
        self.seeds += 1
        self.acknowledged += result.acknowledged
        self.entries += result.entries
        self.world_s += result.seconds
        self.happened.update(result.happened)
        if result.found:
            self.failed.append(result.seed)

    def text(self, took_s: float) -> str:
        """For people."""
        faults = ", ".join(f"{number} {fault}" for fault, number in sorted(self.happened.items())) or "none"
        return (f"{self.seeds} seeds, {len(self.failed)} failed{f' ({self.failed})' if self.failed else ''}: {self.acknowledged} acts acknowledged, "
                f"{self.entries} entries; faults: {faults}; {self.world_s:.0f} s of the world in {took_s:.0f} s")
