"""What processes have used, read from /proc."""

import time
from collections.abc import Iterable
from pathlib import Path

_SCHEDULED = 2
"""CPUCLOCK_SCHED of the kernel's clock ids: what clock_getcpuclockid(3) gives for a process."""


def children(pid: int) -> list[int]:
    """Those that live; zombies are not among them."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")  # each thread has those that it started
    started = [int(child) for thread in threads for child in read(thread).split()]
    return sorted(child for child in started if _state(child) not in ("Z", ""))


def family(pid: int) -> list[int]:
    """A process and all that came from it."""
    return [pid, *(one for child in children(pid) for one in family(child))]


def cpu_s(pids: Iterable[int]) -> float:
    """Seconds of processor that live processes have used, user and system, to the nanosecond: /proc/<pid>/stat counts hundredths of a second."""
    return sum(_cpu_s(pid) for pid in pids)


def rss_kb(pids: Iterable[int]) -> int:
    """Resident memory, in KiB."""
    return sum(_rss_kb(pid) for pid in pids)


def read(file: Path) -> str:
    """A file of a process or thread, which may be gone."""
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat behind the name, the state first."""
    return read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()


def _state(pid: int) -> str:
    return "".join(_stat(pid)[:1])


def _cpu_s(pid: int) -> float:
    try:
        return time.clock_gettime(~pid << 3 | _SCHEDULED)
    except OSError:  # it has gone
        return 0.0


def _rss_kb(pid: int) -> int:
    lines = read(Path(f"/proc/{pid}/status")).splitlines()
    return int(next((line for line in lines if line.startswith("VmRSS:")), "VmRSS: 0 kB").split()[1])
