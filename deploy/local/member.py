"""One process of an engine, by name: started, killed, stopped in its tracks, let go on, started again at the same place and port."""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

_LOOK_S = 0.05


@dataclass
class Member:
    """A process with a folder of its own. It outlives whoever started it only if it is `detached`."""

    name: str
    argv: Sequence[str]
    port: int
    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    detached: bool = False
    host: str = "127.0.0.1"
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        """The file of everything it says."""
        return self.folder / "log"

    @property
    def pid(self) -> int:
        """Of the life it has, or had last; 0 before the first."""
        return self._process.pid if self._process else 0

    @property
    def alive(self) -> bool:
        """Whether it runs, or is only paused."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; nothing if it runs. From the thread that lives longest: unless detached it is killed when that thread ends."""
        if self.alive:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        tied = [] if self.detached else _tied()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*tied, *self.argv], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                             env={**os.environ, **self.env}, start_new_session=True)

    def signal(self, number: int) -> None:
        """Send a signal; nothing if it does not run."""
        if self.alive and self._process:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and gone when this returns; a paused one too."""
        self.signal(signal.SIGKILL)
        if self._process:
            self._process.wait()

    def pause(self) -> None:
        """SIGSTOP: its connections stay open and nothing answers."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    async def stop(self, grace_s: float = 10.0) -> None:
        """SIGTERM and, after the grace, SIGKILL."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        with trio.move_on_after(grace_s):
            while self.alive:  # noqa: ASYNC110 - another process ends
                await trio.sleep(_LOOK_S)
        self.kill()

    def last_words(self, lines: int = 12) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def _tied() -> list[str]:
    """Ends the process when its parent ends, however that goes."""
    found = shutil.which("setpriv")
    return [found, "--pdeathsig", "KILL", "--"] if found else []
