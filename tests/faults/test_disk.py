"""The disk of a whole server at work is full, or fails: what was acknowledged is there, what is refused is refused with a code, all come back."""

import os
import random
from pathlib import Path

import pytest

from tests.faults.disk import CannotHere, can_inject, fail_writes, fill, rot, small_disk
from tests.faults.stage import open_stage

pytestmark = pytest.mark.real

TIMES = int(os.environ.get("CAAS_DISK_FAULTS", "2"))
BACK_WITHIN_S = 60
ROTTEN = 20
"""Bits."""


async def test_a_full_disk_under_load_loses_doubles_and_reorders_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("CAAS_SEED", random.randrange(10**6)))
    print(f"seed {seed}")
    chance = random.Random(seed)
    try:
        with small_disk(tmp_path / "disk") as disk:
            async with open_stage(disk, workers=2, seed=seed) as stage:
                lives = stage.server.pids()
                took = [await fill(stage, disk, chance, BACK_WITHIN_S) for _ in range(TIMES)]
                assert stage.server.pids() == lives, "it recovers without a restart"
                await stage.check(await stage.drain(), tmp_path)
                print(f"{TIMES} times full, {stage.refused('storage_full')} refusals, {stage.acknowledged()} sends acknowledged, back after {took}")
    except CannotHere as why:
        pytest.skip(f"NOT TESTED: {why}")


@pytest.mark.parametrize("calls", ["fdatasync,fsync", "pwrite64"])
async def test_a_disk_that_fails_under_load_loses_doubles_and_reorders_nothing(tmp_path: Path, calls: str) -> None:
    if not can_inject():
        pytest.skip("NOT TESTED: needs strace that may trace, to make system calls fail")
    seed = int(os.environ.get("CAAS_SEED", random.randrange(10**6)))
    print(f"seed {seed}")
    async with open_stage(tmp_path, workers=2, seed=seed) as stage:
        took = await fail_writes(stage, calls, random.Random(seed), BACK_WITHIN_S)
        await stage.check(await stage.drain(60), tmp_path)
        print(f"{calls} failed, {stage.acknowledged()} sends acknowledged, back after {took:.1f} s")
    assert rot(tmp_path / "data", random.Random(seed), ROTTEN) == []
