"""Membership with real processes: killed, stopped, leaving, coming back. Real time, a few seconds at most."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from supervisor.workers import Membership, WorkerIdTaken

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
BEAT, MISSED = 0.1, 0.6


class Watch:
    """The test process, a member too, that remembers each change and can wait for one."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []
        self._changed = trio.Event()

    def __call__(self, members: tuple[str, ...]) -> None:
        self.seen.append(members)
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, *members: str, within: float = 5.0) -> float:
        """Seconds until exactly these are in."""
        began = trio.current_time()
        with trio.fail_after(within):
            while not self.seen or self.seen[-1] != members:
                await self._changed.wait()
        return trio.current_time() - began


class Others:
    """Worker processes of this test, each killed at its end if it is still there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[trio.Process] = []

    async def start(self, name: str, missed: float = MISSED) -> trio.Process:
        argv = [sys.executable, str(Path(__file__).with_name("member.py")), str(self.folder), name, str(BEAT), str(missed)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = await trio.lowlevel.open_process(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    async def end(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
            if process.stdin is not None:
                await process.stdin.aclose()


@pytest.fixture
async def others(tmp_path: Path) -> AsyncIterator[Others]:
    others = Others(tmp_path / "run")
    yield others
    await others.end()


def member(others: Others, watch: Watch, name: str = "a") -> Membership:
    return Membership(others.folder, name, on_change=watch, beat=BEAT, missed=MISSED)


async def test_they_find_each_other(others: Others) -> None:
    watch = Watch()
    async with member(others, watch) as me:
        await others.start("c")
        await others.start("b")
        await watch.until("a", "b", "c")
        assert me.members == ("a", "b", "c")
        assert watch.seen[0] == ("a",)


async def test_a_killed_worker_is_noticed_at_once_and_cleared_away(others: Others) -> None:
    watch = Watch()
    async with member(others, watch):
        process = await others.start("b")
        await watch.until("a", "b")
        process.kill()
        assert await watch.until("a") < 0.5
        assert {path.name for path in others.folder.iterdir()} == {"a", "a.beat"}
        await others.start("b")
        await watch.until("a", "b")


async def test_a_stopped_worker_is_killed_by_its_neighbour(others: Others) -> None:
    watch = Watch()
    async with member(others, watch):
        process = await others.start("b")
        await watch.until("a", "b")
        process.send_signal(signal.SIGSTOP)
        took = await watch.until("a")
        assert MISSED * 0.5 < took < MISSED + 1.0
        assert await process.wait() == -signal.SIGKILL


async def test_a_stopped_neighbour_is_killed_by_another_process_too(others: Others) -> None:
    watch = Watch()
    async with member(others, watch):
        await others.start("b")
        await watch.until("a", "b")
        stopped = await others.start("c")
        await watch.until("a", "b", "c")
        stopped.send_signal(signal.SIGSTOP)
        await watch.until("a", "b")
        assert await stopped.wait() == -signal.SIGKILL


async def test_whoever_was_stopped_itself_kills_nobody_on_waking(others: Others) -> None:
    """`b` watches `a` alone; while it sleeps it hears nothing, and that is not `a`'s fault."""
    watch = Watch()
    async with Membership(others.folder, "a", on_change=watch, beat=BEAT, missed=60):
        process = await others.start("b")
        await watch.until("a", "b")
        process.send_signal(signal.SIGSTOP)
        await trio.sleep(MISSED * 2)
        process.send_signal(signal.SIGCONT)
        await trio.sleep(MISSED * 2)  # this process would be dead
        assert watch.seen[-1] == ("a", "b")


async def test_a_leaving_worker_is_out_of_the_list_while_it_finishes(others: Others) -> None:
    watch = Watch()
    async with member(others, watch):
        process = await others.start("b")
        await watch.until("a", "b")
        process.terminate()
        assert await watch.until("a") < 0.5
        assert process.returncode is None
        assert process.stdin is not None
        await process.stdin.send_all(b"\n")
        assert await process.wait() == 0
        assert {path.name for path in others.folder.iterdir()} == {"a", "a.beat"}


async def test_leaving_is_seen_by_oneself_at_once(others: Others) -> None:
    watch = Watch()
    async with member(others, watch) as me:
        me.leave()
        assert me.members == ()
    assert list(others.folder.iterdir()) == []


async def test_an_id_is_held_by_one_process(others: Others) -> None:
    async with member(others, Watch()):
        with pytest.raises(WorkerIdTaken):
            async with member(others, Watch()):
                pass


async def test_files_of_another_boot_or_another_process_are_no_licence_to_kill(others: Others) -> None:
    """A silent member whose record names our own pid, but a process started at another time: nobody is killed."""
    watch = Watch()
    async with member(others, watch):
        process = await others.start("b")
        await watch.until("a", "b")
        path = others.folder / "b"
        record = json.loads(path.read_text())
        record["started"] += 1
        path.write_text(json.dumps(record).ljust(256))
        process.send_signal(signal.SIGSTOP)
        await trio.sleep(MISSED * 3)
        assert process.returncode is None
        assert watch.seen[-1] == ("a", "b")


async def test_a_folder_with_a_very_long_path(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100) / "run"
    watch = Watch()
    others = Others(folder)
    try:
        async with member(others, watch):
            process = await others.start("b")
            await watch.until("a", "b")
            await trio.sleep(MISSED * 2)
            assert watch.seen[-1] == ("a", "b")
            assert process.returncode is None
    finally:
        await others.end()


@pytest.mark.parametrize("name", ["", "a/b", "..", "a.b", "x" * 65])
def test_an_id_is_a_plain_word(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="worker id"):
        Membership(tmp_path, name)
