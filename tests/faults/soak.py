"""`make soak MINUTES=60`: kills and stops of real processes under load, and seeds of the simulated world, in turn, for as long as is given.

Prints a report in the end, and exits with 1 where anything was lost, doubled or reordered. What failed says how to see it again.
"""

import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from bench.server import Server, kill
from sim.command import Report, results
from sim.faults import FAULTS
from tests.faults.load import read_log
from tests.faults.stage import ROOMS, USERS, hurt, open_stage

SEEDS, KILLS, STOPS = 50, 25, 1
"""Of one round."""
WORKERS = 3
BACK_WITHIN_S = 30


@dataclass
class Soak:
    """What has been done, and what came of it."""

    seeds: Report = field(default_factory=Report)
    kills: int = 0
    stops: int = 0
    acknowledged: int = 0
    slowest_s: float = 0.0
    losses: list[str] = field(default_factory=list)

    def text(self, took_s: float) -> str:
        """For people."""
        lines = [
            f"{took_s / 60:.0f} minutes", f"kills (SIGKILL of a worker under load): {self.kills}", f"stops (SIGSTOP): {self.stops}",
            f"acts acknowledged by real processes: {self.acknowledged}", f"slowest until everybody was back: {self.slowest_s:.2f} s",
            f"simulated: {self.seeds.text(took_s)}", f"losses: {len(self.losses)}", *self.losses]
        return "\n".join(lines)


def simulate(soak: Soak, first: int) -> None:
    """A round of seeds."""
    for result in results(range(first, first + SEEDS), list(FAULTS), os.cpu_count() or 1):
        soak.seeds.add(result)
        soak.losses += [f"caas sim --seed {result.seed}: {sentence}" for sentence in result.found[:3]]


async def batter(soak: Soak, folder: Path, seed: int, *, stop: bool) -> None:
    """A round of kills, or of stops: everything is checked at its end, and again by another start."""
    times = STOPS if stop else KILLS
    with_signal = signal.SIGSTOP if stop else signal.SIGKILL
    async with open_stage(folder, workers=WORKERS, seed=seed) as stage:
        took = await hurt(stage, times, lambda pid: kill(pid, with_signal), random.Random(seed), BACK_WITHIN_S)
        log = await stage.drain(60)
        await stage.check(log, folder)
        soak.acknowledged += stage.acknowledged() + stage.acknowledged("act")
    soak.slowest_s = max([soak.slowest_s, *took.calm, *took.in_a_row])
    soak.kills, soak.stops = soak.kills + (0 if stop else times), soak.stops + (times if stop else 0)
    with Server(folder / "data", workers=1, log=folder / "server.log") as server:
        again = await read_log(server.base, server.session(USERS[0]), ROOMS)
    assert again == log, "another start reads another log"


def main(minutes: float) -> int:
    """Soak for so long."""
    soak, began, number = Soak(), time.monotonic(), int(time.time()) % 1_000_000
    while (took := time.monotonic() - began) < minutes * 60:
        simulate(soak, number)
        for stop in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    trio.run(partial(batter, soak, Path(folder), number, stop=stop))
                except* (AssertionError, trio.TooSlowError) as wrong:
                    soak.losses.append(f"seed {number}, {'stops' if stop else 'kills'}: {wrong.exceptions!r}"[:2000])
        number += SEEDS
        print(f"after {(time.monotonic() - began) / 60:.1f} min: {soak.kills} kills, {soak.stops} stops, {soak.seeds.seeds} seeds, "
              f"{len(soak.losses)} losses", flush=True)
    print(soak.text(took))
    return 1 if soak.losses else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60))
