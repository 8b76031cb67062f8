"""What processes have used, read from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """Those that live; zombies are not among them."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")  # each thread has those that it started
    started = [int(child) for thread in threads for child in read(thread).split()]
    return sorted(child for child in started if _state(child) not in ("Z", ""))


def family(pid: int) -> list[int]:
    """A process and all that came from it."""
    return [pid, *(one for child in children(pid) for one in family(child))]


def cpu_s(pids: Iterable[int]) -> float:
    """Seconds of processor that live processes have used, user and system."""
    return sum(float(fields[11]) + float(fields[12]) for pid in pids if (fields := _stat(pid))) / TICK


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
    """The fields of /proc/<pid>/stat behind the name: state first, utime and stime at 11 and 12."""
    return read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()


def _state(pid: int) -> str:
    return "".join(_stat(pid)[:1])


def _rss_kb(pid: int) -> int:
    lines = read(Path(f"/proc/{pid}/status")).splitlines()
    return int(next((line for line in lines if line.startswith("VmRSS:")), "VmRSS: 0 kB").split()[1])
