"""The kinds of rounds: each does one thing from a seed, and writes what it did and found into its Round."""

import importlib.util
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from bench.build import NoCompiler, built
from bench.lab import Lab
from bench.server import Server, kill
from bench.servers.kinds import OURS
from bench.workloads.overload import SHORT, measure
from sim.command import results
from sim.faults import FAULTS
from tests.checker import history as checker
from tests.faults.disk import CannotHere, can_inject, fail_writes, fill, rot, small_disk
from tests.faults.load import read_log
from tests.faults.stage import ROOMS, USERS, Stage, Violated, hail, hurt, open_stage
from tests.fuzz.guided import NAMES, guided
from tests.soak.planting import unseen
from tests.soak.report import Round

ROOT = Path(__file__).parents[2]
SEEDS, KILLS, STOPS, FULL, ROTTEN = 60, 30, 1, 2, 20
"""Of one round."""
BACK_WITHIN_S = 60
EXAMPLES, FUZZ_S = 1_000, 4
"""Of each test with Hypothesis; seconds of each fuzz program."""
Work = Callable[[Round, Path], None]


def simulate(one: Round, folder: Path) -> None:
    """Seeds of the simulated world."""
    for result in results(range(one.seed, one.seed + SEEDS), list(FAULTS), os.cpu_count() or 1):
        one.units += 1
        one.counts["simulated acts"] += result.acknowledged
        one.counts.update({f"fault {name}": number for name, number in result.happened.items()})
        one.tally.update(checker.tally(result.found))
        one.lost += [f"`caas sim --seed {result.seed}`: {sentence}" for sentence in result.found[:3]]


def kills(one: Round, folder: Path) -> None:
    """SIGKILL of workers, about one a second."""
    staged(one, folder, 3, partial(_struck, hail, KILLS, signal.SIGKILL))
    another_start(one, folder)


def stops(one: Round, folder: Path) -> None:
    """SIGSTOP of a worker, which its neighbour then kills."""
    staged(one, folder, 3, partial(_struck, hurt, STOPS, signal.SIGSTOP))


async def _struck(how: Callable[..., Awaitable[tuple[list[float], list[float]]]], times: int, by: int, one: Round, stage: Stage) -> None:
    calm, in_a_row = await how(stage, times, lambda pid: kill(pid, by), random.Random(one.seed), BACK_WITHIN_S)
    one.back_s += [*calm, *in_a_row]
    one.units += times


def full_disk(one: Round, folder: Path) -> None:
    """A disk without a free byte, under load."""
    async def work(one: Round, stage: Stage) -> None:
        for _ in range(FULL):
            one.back_s.append(await fill(stage, folder / "disk", random.Random(one.seed), BACK_WITHIN_S))
            one.units += 1
        one.counts["storage_full"] += stage.refused("storage_full")

    with small_disk(folder / "disk") as disk:
        staged(one, disk, 2, work, keep=folder)


def failing_disk(one: Round, folder: Path) -> None:
    """fsync, or writing, fails under one worker; afterwards bits of what it left are flipped."""
    if not can_inject():
        raise CannotHere("needs strace that may trace")

    async def work(one: Round, stage: Stage) -> None:
        calls = ("fdatasync,fsync", "pwrite64")[one.seed % 2]
        one.back_s.append(await fail_writes(stage, calls, random.Random(one.seed), BACK_WITHIN_S))
        one.units += 1

    staged(one, folder, 2, work)
    another_start(one, folder)


def bit_rot(one: Round, folder: Path) -> None:
    """Bits flipped in entries that a server has written."""
    async def work(one: Round, stage: Stage) -> None:
        await trio.sleep(1)

    staged(one, folder, 1, work)
    one.lost += rot(folder / "data", random.Random(one.seed), ROTTEN)
    one.units += ROTTEN


def hypothesis(one: Round, folder: Path) -> None:
    """Every decoder, the fold, the fuzz tests of Hypothesis with many more examples than in CI, from another seed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-seed", str(one.seed), "tests/fuzz/test_decoders.py"]
    run = subprocess.run(command, cwd=ROOT, env={**os.environ, "CAAS_EXAMPLES": str(EXAMPLES)}, capture_output=True, text=True)
    one.units += EXAMPLES * int((re.findall(r"(\d+) passed", run.stdout) or ["0"])[-1])
    if run.returncode:
        one.wrong.append(f"`CAAS_EXAMPLES={EXAMPLES} {' '.join(command[1:])}`: {run.stdout[-2000:]}")


def coverage_guided(one: Round, folder: Path) -> None:
    """The fuzz programs of all decoders, one after the other, much longer than in CI."""
    if importlib.util.find_spec("atheris") is None:
        raise CannotHere("atheris is not to be had for this Python")
    for target in NAMES:
        result = guided(target, FUZZ_S, one.seed, folder / target)
        one.units += result.tried
        if result.broken:
            one.wrong.append(f"`python -m tests.fuzz.guided {target} --seconds {FUZZ_S} --seed {one.seed}`: {result.broken}")


def cluster(one: Round, folder: Path) -> None:
    """Ten SIGKILLs and five SIGSTOPs of anything in a cluster."""
    settings = {"CLUSTER_KILLS": "10", "CLUSTER_STOPS": "5", "CLUSTER_PAUSE_S": "3", "CAAS_SEED": str(one.seed)}
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", f"--basetemp={folder / 'pytest'}",
               "tests/faults/test_cluster.py"]
    run = subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True)
    if "NOT tested" in run.stdout:
        raise CannotHere(run.stdout.partition("NOT tested on the real engine: ")[2].splitlines()[0])
    said = re.search(r"(\d+) sends and (\d+) other acts acknowledged", run.stdout)
    one.counts.update({"sends": int(said[1]), "acts": int(said[2])} if said else {})
    one.back_s += [float(seconds) for seconds in re.findall(r"all back ([\d.]+) s after", run.stdout)]
    one.units += len(one.back_s)
    broken = {rule: int(number) for rule, number in re.findall(r"\b(S\d+) (\d+)", run.stdout.partition("violations: ")[2].partition("\n")[0])}
    one.tally.update(broken)
    if run.returncode:
        (one.lost if sum(broken.values()) else one.wrong).append(f"`{' '.join(f'{name}={value}' for name, value in settings.items())} "
                                                                 f"pytest tests/faults/test_cluster.py`: {run.stdout[-2000:]}")


def overload(one: Round, folder: Path) -> None:
    """Three times what the server can take, in an open loop; on a disk that has done with what the rounds before wrote."""
    os.sync()
    try:
        built("generate")
    except NoCompiler as missing:
        raise CannotHere(str(missing)) from missing
    for row in measure(Lab(folder, (OURS,), say=False), SHORT):
        one.units += 1
        one.notes.append(f"{row.case}: " + ", ".join(f"{name} {figure:,.2f}" for name, figure in row.figures.items()))
        for name, by in row.faults.items():
            (one.lost if name in ("doubles", "disorder") else one.wrong).append(f"overload, {name}: {by}")


ROUNDS: dict[str, Work] = {
    "simulated seeds": simulate, "SIGKILLs of workers": kills, "SIGSTOPs of workers": stops, "full disks": full_disk,
    "failing disks": failing_disk, "flipped bits": bit_rot, "examples of Hypothesis": hypothesis,
    "inputs guided by coverage": coverage_guided, "overloads": overload, "SIGKILLs and SIGSTOPs in a cluster": cluster,
}
"""By the name that they have in the report: the units that are counted."""


# What they share.


def staged(one: Round, folder: Path, workers: int, work: Callable[[Round, Stage], Awaitable[None]], keep: Path | None = None) -> None:
    """Do it to a server under load; then everything is read back, and held against what every client saw."""
    trio.run(_staged, one, folder, workers, work, keep or folder)


async def _staged(one: Round, folder: Path, workers: int, work: Callable[[Round, Stage], Awaitable[None]], keep: Path) -> None:
    async with open_stage(folder, workers=workers, seed=one.seed, pace_s=0.2) as stage, _counting(one, stage):
        await work(one, stage)
        log = await stage.drain(BACK_WITHIN_S)
        try:
            await stage.check(log, keep)
        except Violated as violated:
            one.tally.update(violated.tally)
            one.lost.append(str(violated))
            return
        planted, missed = unseen(stage.history.events, log, stage.lists, random.Random(one.seed))
        one.counts["planted"] += planted
        one.counts["planted and found"] += planted - len(missed)
        one.wrong += missed


@asynccontextmanager
async def _counting(one: Round, stage: Stage):  # type: ignore[no-untyped-def]
    try:
        yield
    finally:
        one.counts["sends"] += stage.acknowledged()
        one.counts["acts"] += stage.acknowledged("act")


def another_start(one: Round, folder: Path) -> None:
    """Whether the same data, read by a server that was never hurt, is the same log that clients saw."""
    with Server(folder / "data", workers=1, log=folder / "server.log") as server:
        log = trio.run(read_log, server.base, server.session(USERS[0]), ROOMS)
    found = checker.violations(checker.read(folder / "history.jsonl"), log)
    one.tally.update(checker.tally(found))
    one.lost += [f"after another start: {sentence}" for sentence in found[:5]]
