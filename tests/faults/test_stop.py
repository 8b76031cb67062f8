"""A worker that stands still (SIGSTOP) is killed by its neighbour; what it does if it wakes after all harms nobody."""

import os
import random
import signal
from pathlib import Path

import pytest

from bench.server import kill
from tests.faults.stage import hurt, open_stage

pytestmark = pytest.mark.real

STOPS = int(os.environ.get("CAAS_STOPS", "5"))
BACK_WITHIN_S = 20
"""The promise is 10 s on a machine that does nothing else."""


async def test_stopped_workers_lose_double_and_reorder_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("CAAS_SEED", random.randrange(10**6)))
    print(f"seed {seed}")
    stopped: list[int] = []

    def stop(pid: int) -> None:
        stopped.append(pid)
        kill(pid, signal.SIGSTOP)

    async with open_stage(tmp_path, workers=3, seed=seed) as stage:
        try:
            took = await hurt(stage, STOPS, stop, random.Random(seed), BACK_WITHIN_S)
        finally:
            for pid in set(stopped) & set(stage.server.pids()):
                kill(pid, signal.SIGCONT)
        await stage.check(await stage.drain(), tmp_path)
        print(f"{STOPS} stops, {stage.acknowledged()} sends and {stage.acknowledged('act')} other acts acknowledged; {took}")
