"""One process of an engine, by name: started, killed, stopped in its tracks, let go on, started again at the same place and port."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from deploy.local.cutting import cut, heal
from deploy.local.lives import Life, life_of

_LOOK_S = 0.05
_DIES_LOOK_S = 0.002
_DIES_WITHIN_S = 10.0


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
    life: Life | None = None
    """The one it has, or had last: set it to take over what somebody else started."""

    @property
    def log(self) -> Path:
        """The file of everything it says."""
        return self.folder / "log"

    @property
    def pid(self) -> int:
        """Of its last life; 0 before the first."""
        return self.life.pid if self.life else 0

    @property
    def alive(self) -> bool:
        """Whether it runs, or is only paused."""
        return bool(self.life and self.life.state)

    @property
    def paused(self) -> bool:
        """Whether it was stopped in its tracks."""
        return self.life is not None and self.life.state == "T"

    def start(self) -> None:
        """Start it; nothing if it runs. From the thread that lives longest: unless detached it is killed when that thread ends."""
        if self.alive:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        heal(self.port)
        with self.log.open("ab") as log:
            process = subprocess.Popen([*self._wrapped(), *self.argv], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                       env={**os.environ, **self.env}, start_new_session=True)
        self.life = life_of(process.pid)
        threading.Thread(target=process.wait, name=f"reaps {self.name}", daemon=True).start()

    def kill(self) -> None:
        """SIGKILL to it and its children, paused ones too; gone when this returns."""
        if self.life is None:
            return
        self.life.signal_all(signal.SIGKILL)
        until = time.monotonic() + _DIES_WITHIN_S
        while self.life.group_lives and time.monotonic() < until:
            time.sleep(_DIES_LOOK_S)

    def pause(self) -> None:
        """SIGSTOP to it and its children: its connections stay open and nothing answers."""
        if self.life:
            self.life.signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        if self.life:
            self.life.signal_all(signal.SIGCONT)

    def cut(self) -> None:
        """Nothing that it says arrives anywhere, and nothing reaches it. Raises Missing where that cannot be made."""
        cut(self.port)

    def heal(self) -> None:
        """It may speak again."""
        heal(self.port)

    async def stop(self, grace_s: float = 10.0) -> None:
        """SIGTERM to it alone, for it knows its children; after the grace SIGKILL to all."""
        self.resume()
        if self.life:
            self.life.signal(signal.SIGTERM)
        with trio.move_on_after(grace_s):
            while self.alive:  # noqa: ASYNC110 - another process ends
                await trio.sleep(_LOOK_S)
        self.kill()

    def last_words(self, lines: int = 12) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def _wrapped(self) -> list[str]:
        """Begins the command line: so that it ends when its parent ends, however that goes, and that its sockets are known by their group."""
        found = shutil.which("setpriv")
        tied = [] if self.detached else ["--pdeathsig", "KILL"]
        known = ["--regid", str(self.port), "--keep-groups"] if os.geteuid() == 0 else []
        return [found, *tied, *known, "--"] if found and (tied or known) else []
