"""Processes that were started by somebody who has left: known by pid and by when they began, so that a pid given anew is nobody of ours."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_STATE, _GROUP, _THREADS, _BEGAN = 0, 2, 17, 19
"""Places in /proc/PID/stat behind the command's name."""


@dataclass(frozen=True, slots=True)
class Life:
    """One process, for good. `began`: in the kernel's ticks since it started."""

    pid: int
    began: int

    @property
    def state(self) -> str:
        """The kernel's letter: R or S runs, T is paused; empty when it is over."""
        seen = _stat(self.pid)
        return "" if not seen or int(seen[_BEGAN]) != self.began or _dead(seen) else seen[_STATE]

    @property
    def group_lives(self) -> bool:
        """Whether anything of the group that it leads, or led, is left."""
        stats = [_stat(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        return any(int(seen[_GROUP]) == self.pid and not _dead(seen) for seen in stats if seen)

    def signal(self, number: int) -> None:
        """To the process alone. Nothing if it is over."""
        if self.state:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def signal_all(self, number: int) -> None:
        """To its whole group: itself, and its children. Nothing if it is over."""
        if self.state:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)


def life_of(pid: int) -> Life:
    """The process that has this pid now. Raises ProcessLookupError."""
    seen = _stat(pid)
    if not seen:
        raise ProcessLookupError(pid)
    return Life(pid, int(seen[_BEGAN]))


def _dead(seen: list[str]) -> bool:
    """As long as a thread is left, its sockets are too."""
    return seen[_STATE] in "ZX" and int(seen[_THREADS]) <= 1


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
