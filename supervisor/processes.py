"""A supervisor whose children are processes: start them, start them again, give up when that does not help, stop them in time."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import trio

__all__ = ["Command", "ProcessSupervisor", "wait_orphaned"]

log = logging.getLogger("supervisor")

PIPE = "SUPERVISOR_PIPE"
"""Names, in a child's environment, the descriptor that ends when its parent does."""
SETTLED = 2.0
"""Seconds after which a process counts as well: what ends it later is no failed start."""


@dataclass(frozen=True, slots=True)
class Command:
    """One child: `env` is added to our own environment."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


class ProcessSupervisor:
    """Keeps its commands running until SIGTERM or SIGINT.

    A child that ends is started again after `first` seconds, twice as long each time it does not last SETTLED seconds, up to
    `longest`. More than `restarts` such short lives of one child within `within` seconds, and it gives up: all are stopped.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        *,
        restarts: int = 10,
        within: float = 60.0,
        grace: float = 30.0,
        first: float = 0.1,
        longest: float = 5.0,
    ) -> None:
        self._commands = tuple(commands)
        self._restarts = restarts
        self._within = within
        self._grace = grace
        self._first = first
        self._longest = longest
        self._running: dict[str, trio.Process] = {}
        self._code = 0
        self._pipe = (-1, -1)

    @property
    def pids(self) -> dict[str, int]:
        """Of the children that run now, by name."""
        return {name: process.pid for name, process in self._running.items()}

    async def run(self) -> int:
        """Until a signal (0) or until it gave up (1); when it returns, no child runs any more."""
        self._pipe = os.pipe()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._wait_signal, nursery.cancel_scope)
                for command in self._commands:
                    nursery.start_soon(self._keep, command, nursery.cancel_scope)
        finally:
            with trio.CancelScope(shield=True):  # bounded by the grace
                await self._stop_all()
            for end in self._pipe:
                os.close(end)
        return self._code

    async def _wait_signal(self, everything: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                everything.cancel()
                return

    async def _keep(self, command: Command, everything: trio.CancelScope) -> None:
        short: deque[float] = deque(maxlen=self._restarts + 1)
        pause = self._first
        while True:
            began = trio.current_time()
            code = await self._live(command)
            now = trio.current_time()
            if now - began >= SETTLED:
                pause = self._first
                short.clear()
            else:
                short.append(now)
            log.error("process %s ended with %d; starting it again in %g s", command.name, code, pause)
            if len(short) > self._restarts and now - short[0] <= self._within:
                log.critical("process %s ended %d times within %g s: giving up", command.name, len(short), self._within)
                self._code = 1
                everything.cancel()
            await trio.sleep(pause)
            pause = min(pause * 2, self._longest)

    async def _live(self, command: Command) -> int:
        """One life. A command that cannot be started is a life of no length."""
        env = {**os.environ, **command.env, PIPE: str(self._pipe[0])}
        with trio.CancelScope(shield=True):  # started is started: cancelled in between, nobody would know its pid
            try:
                process = await trio.lowlevel.open_process(list(command.argv), env=env, pass_fds=[self._pipe[0]], stdin=subprocess.DEVNULL)
            except OSError as error:
                log.error("process %s could not be started: %s", command.name, error)
                return 127
            self._running[command.name] = process
        code = await process.wait()
        del self._running[command.name]
        return code

    async def _stop_all(self) -> None:
        """SIGTERM to all, `grace` seconds together, then SIGKILL."""
        for process in self._running.values():
            process.terminate()
        with trio.move_on_after(self._grace):
            await self._wait_all()
        for name, process in self._running.items():
            if process.returncode is None:
                log.warning("process %s did not end within %g s: killing it", name, self._grace)
                process.kill()
        await self._wait_all()
        self._running.clear()

    async def _wait_all(self) -> None:
        for process in self._running.values():
            await process.wait()


async def wait_orphaned() -> None:
    """In a child: returns when the parent that started it is gone, however it went; never, if it was started by something else."""
    name = os.environ.get(PIPE)
    if name is None:
        await trio.sleep_forever()
        return
    async with trio.lowlevel.FdStream(int(name)) as pipe:
        await pipe.receive_some(1)
