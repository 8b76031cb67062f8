"""The machine, as checks ask it: facts without judgement, so that a test can put another machine in its place."""

import importlib.metadata
import importlib.util
import os
import re
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from caas.acceleration import Acceleration, Choice, look

_PLAIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*([^;]*)")
_WRITES = 20


class Machine:
    """The one we run on."""

    def python(self) -> tuple[int, ...]:
        """Version of the interpreter."""
        return tuple(sys.version_info[:3])

    def needs(self) -> dict[str, str]:
        """What this program needs besides Python: distribution and bounds, as its own metadata say. Raises PackageNotFoundError."""
        plain = [line for line in importlib.metadata.requires("caas-server") or [] if "extra ==" not in line]
        return {found[1]: found[2].strip() for line in plain if (found := _PLAIN.match(line))}

    def installed(self, distribution: str) -> str | None:
        """Its version, if it is there."""
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            return None

    def package_folder(self, package: str) -> Path | None:
        """Where a top-level package is imported from."""
        spec = importlib.util.find_spec(package)
        return Path(spec.origin).resolve().parent if spec and spec.origin else None

    def acceleration(self, choice: Choice) -> Acceleration:
        """Whether a worker that starts now would run on compiled modules."""
        return look(choice)[0]

    def sqlite(self) -> tuple[int, ...]:
        """Version of the SQLite library."""
        return sqlite3.sqlite_version_info

    def filesystem(self, path: Path) -> str:
        """The kind of file system that a path is on; empty where the system does not say."""
        try:
            mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
        except OSError:
            return ""
        real = str(path.resolve())
        under = [(len(where), kind) for where, kind in mounts if real == where or real.startswith(where.rstrip("/") + "/")]
        return max(under, default=(0, ""))[1]

    def free_bytes(self, path: Path) -> int:
        """Room for us on the disk of a path. Raises OSError."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize

    def sync_seconds(self, folder: Path) -> float:
        """How long writing 4 KiB until it is on the disk takes, the median of some. Raises OSError."""
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            took = []
            for _ in range(_WRITES):
                began = time.perf_counter()
                file.write(bytes(4_096))
                file.flush()
                os.fsync(file.fileno())
                took.append(time.perf_counter() - began)
        return statistics.median(took)

    def files(self) -> int:
        """How many files one process may have open at most, when it asks for all it may have."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        return sys.maxsize if most == resource.RLIM_INFINITY else most

    def processors(self) -> int:
        """Processors that we may use."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def now_ms(self) -> int:
        """Wall time, in ms since 1970."""
        return time.time_ns() // 1_000_000

    def process_state(self, pid: int) -> str:
        """The kernel's letter for what a process does (T: stopped, Z: dead and not buried); empty where it does not say."""
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            return ""

    def soon(self, condition: Callable[[], bool], within_s: float = 5.0) -> bool:
        """Whether something becomes so in time."""
        until = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True
