"""A server of one's own: `caas dev` as a child process, its workers, and what they have used so far."""

import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from bench import processes

KEY = "caas_sk_dev"


class Server:
    """`caas dev` on a free port, with limits off unless asked for. A context manager: leaving it stops the server.

    `log` is the file that standard error goes to. Whoever shall run all workers on certain processors names these in `cores`. `settings` are
    `CAAS_*`, on top of those of our own environment.
    """

    def __init__(self, data: Path, *, workers: int, log: Path, cores: set[int] | None = None, limits: str = "off", port: int = 0,
                 settings: Mapping[str, str] | None = None, ready_within_s: float = 30) -> None:
        self.limits, self._port, self._settings, self._ready_within_s = limits, port, dict(settings or {}), ready_within_s
        self.data, self.workers, self.log, self._cores = data, workers, log, cores
        self.base = ""
        self.start_s = 0.0
        self._process: subprocess.Popen[str]
        self._errors: IO[str]

    def __enter__(self) -> "Server":
        began = time.monotonic()
        self._errors = self.log.open("a")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "caas", "dev", "--port", str(self._port), "--data", str(self.data), "--workers", str(self.workers),
             "--limits", self.limits],
            stdout=subprocess.PIPE, stderr=self._errors, text=True, env={**os.environ, **self._settings})
        if self._cores:
            os.sched_setaffinity(self._process.pid, self._cores)  # before it has children: they inherit it
        try:
            self.base = self._await_ready(self._ready_within_s)
        except BaseException:
            self.stop()
            raise
        self.start_s = time.monotonic() - began
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self.base.removeprefix("http://").split(":")
        return host, int(port)

    def pids(self) -> list[int]:
        """The worker processes that live now; zombies are not among them."""
        return processes.children(self._process.pid)

    def serving(self) -> int:
        """How many of the living workers have said that they serve."""
        said = {processes.read(file).strip() for file in (self.data / "run").glob("*.ready")}
        return sum(str(pid) in said for pid in self.pids())

    def cpu_s(self) -> float:
        """Seconds of processor that the live workers have used, user and system."""
        return processes.cpu_s(self.pids())

    def rss_kb(self) -> int:
        """Resident memory of the live workers, in KiB."""
        return processes.rss_kb(self.pids())

    def session(self, user: str, within_s: float = 10) -> str:
        """A token for `user`, who is made if need be."""
        return str(self.post("/api/v1/sessions/create", {"user": {"external_id": user}}, within_s)["token"])

    def post(self, path: str, body: dict[str, Any], within_s: float = 10, **headers: str) -> Any:
        """The answer to a request made with the application's secret key."""
        given = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **{name.replace("_", "-"): to for name, to in headers.items()}}
        request = urllib.request.Request(self.base + path, json.dumps(body).encode(), given)
        with urllib.request.urlopen(request, timeout=within_s) as answer:
            return json.load(answer)

    def stop(self) -> int:
        """SIGTERM, and SIGKILL to whoever does not heed it in 30 s. The parent's exit code."""
        workers = self.pids()
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            for pid in workers:
                kill(pid, signal.SIGKILL)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()
        return self._process.returncode

    def _await_ready(self, within_s: float) -> str:
        assert self._process.stdout is not None
        until = time.monotonic() + within_s
        while select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
            line = self._process.stdout.readline()
            if line.startswith("ready "):
                return line.split()[1]
            if not line:
                break
        raise RuntimeError(f"caas dev did not become ready in {within_s:g} s:\n{self.log.read_text()[-4000:]}")


def kill(pid: int, with_signal: int) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, with_signal)
    except ProcessLookupError:
        return
