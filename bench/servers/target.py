"""What a workload asks of a server, whichever it is."""

import os
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol

from bench import processes
from bench.generate import Broken, Dialect, Publish, Script


class Target(Protocol):
    """A server that runs."""

    name: str
    durability: str
    """What is safe when a publish is answered, and what is checked before: stands in each row of a report."""
    dialect: Dialect
    host: str
    port: int

    def room(self, name: str, members: Sequence[str]) -> None:
        """Make a room that these users may be in, and the users."""

    def script(self, user: str, rooms: Sequence[str]) -> Script:
        """How the user connects and comes to see the rooms."""

    def publish(self, room: str, size: int) -> Publish:
        """How a text of so many bytes is published in a room."""

    def cpu_s(self) -> float:
        """Seconds of processor that the server's processes have used."""

    def rss_kb(self) -> int:
        """Their resident memory in KiB."""

    def stop(self) -> None:
        """End."""


class Child:
    """A peer's process, which says `ready PORT`, or `ready URL`, when it serves."""

    def __init__(self, command: Sequence[str], *, core: int | None, log: Path, folder: Path | None = None, **environment: str) -> None:
        self._errors: IO[str] = log.open("a")
        self._process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=self._errors, text=True,
                                         env={**os.environ, **environment})
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})
        try:
            self.port = self._await_ready(20)
        except (Broken, KeyboardInterrupt):
            said = log.read_text()[-2000:]
            self.stop()
            raise Broken(f"{Path(command[0]).name} did not become ready:\n{said}") from None
        if core is not None:  # threads that it started before it was pinned
            for thread in Path(f"/proc/{self._process.pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {core})

    def cpu_s(self) -> float:
        """Of the whole family."""
        return processes.cpu_s(processes.family(self._process.pid))

    def rss_kb(self) -> int:
        """Of the whole family."""
        return processes.rss_kb(processes.family(self._process.pid))

    def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.close()

    def _await_ready(self, within_s: float) -> int:
        assert self._process.stdout is not None
        until = time.monotonic() + within_s
        while select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
            line = self._process.stdout.readline()
            if line.startswith("ready "):
                return int(line.split()[1].rpartition(":")[2])
            if not line:
                break
        raise Broken("not ready")
