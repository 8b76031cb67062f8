"""The supervisor of processes, with real ones."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from supervisor.processes import Command, ProcessSupervisor

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
SLEEP = "import time; time.sleep(60)"
STUBBORN = "import signal, time, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); open(sys.argv[1], 'w').close(); time.sleep(60)"
ORPHAN = """
import sys, trio
from supervisor.processes import wait_orphaned
async def main():
    open(sys.argv[1], "w").close()
    await wait_orphaned()
    open(sys.argv[1] + ".orphaned", "w").close()
trio.run(main)
"""


def python(name: str, code: str, *args: str) -> Command:
    return Command(name, [sys.executable, "-c", code, *args], {"PYTHONPATH": str(ROOT)})


async def until(true: Callable[[], object], within: float = 5.0) -> None:
    with trio.fail_after(within):
        while not true():
            await trio.sleep(0.01)


async def run(supervisor: ProcessSupervisor, codes: list[int]) -> None:
    codes.append(await supervisor.run())


async def test_who_dies_is_started_again_and_a_signal_ends_all() -> None:
    supervisor = ProcessSupervisor([python("a", SLEEP), python("b", SLEEP)], first=0.02)
    codes: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, supervisor, codes)
        await until(lambda: len(supervisor.pids) == 2)
        before = supervisor.pids
        os.kill(before["a"], signal.SIGKILL)
        await until(lambda: supervisor.pids.get("a", before["a"]) != before["a"])
        assert supervisor.pids["b"] == before["b"]
        running = list(supervisor.pids.values())
        os.kill(os.getpid(), signal.SIGTERM)
    assert codes == [0]
    for pid in running:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_what_never_lasts_is_given_up() -> None:
    supervisor = ProcessSupervisor([python("ok", SLEEP), python("broken", "raise SystemExit(3)")], restarts=2, first=0.01)
    with trio.fail_after(10):
        assert await supervisor.run() == 1
    assert supervisor.pids == {}


async def test_what_cannot_be_started_at_all_is_given_up() -> None:
    supervisor = ProcessSupervisor([Command("nothing", ["/does/not/exist"])], restarts=1, first=0.01)
    with trio.fail_after(10):
        assert await supervisor.run() == 1


async def test_who_does_not_end_within_the_grace_is_killed(tmp_path: Path) -> None:
    there = tmp_path / "there"
    supervisor = ProcessSupervisor([python("stubborn", STUBBORN, str(there))], grace=0.3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        await until(there.exists)
        pid = supervisor.pids["stubborn"]
        with trio.fail_after(5):
            os.kill(os.getpid(), signal.SIGTERM)
            await until(lambda: not supervisor.pids)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_child_hears_that_its_parent_was_killed(tmp_path: Path) -> None:
    there, after = tmp_path / "there", tmp_path / "there.orphaned"
    parent = (
        "import sys, trio; from supervisor.processes import *;"
        f"trio.run(ProcessSupervisor([Command('c', [sys.executable, '-c', {ORPHAN!r}, {str(there)!r}])]).run)"
    )
    process = await trio.lowlevel.open_process([sys.executable, "-c", parent], env={**os.environ, "PYTHONPATH": str(ROOT)})
    await until(there.exists)
    process.kill()
    await process.wait()
    await until(after.exists)
