"""Who of a node's worker processes is alive, agreed through one folder and nothing else.

Each worker holds an exclusive lock (`flock`) on `run/<id>`: the kernel frees it however the process ends, so a held lock means
alive. A process that is stopped or stuck holds its lock too; so each worker also answers beats on a datagram socket,
`run/<id>.beat`, and is watched by its left-hand neighbour in the sorted list, which kills it when it has been silent for too
long. Then its lock is free, and everybody takes it out of the list: nobody has to be told anything, by anybody.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import trio

__all__ = ["Membership", "WorkerIdTaken"]

log = logging.getLogger("supervisor")

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
RECORD = 256
"""Bytes of a lock file: one write of a fixed length, so that nobody reads half of it."""
LONGEST_PATH = 100
"""Bytes of a Unix socket's path that every system takes."""
TAKE_WITHIN = 1.0
"""Seconds to keep trying for a lock: somebody who looks whether we are alive holds it for a moment."""


class WorkerIdTaken(Exception):
    """Another live process holds this worker id in this folder: give each worker an id of its own."""


@dataclass(frozen=True, slots=True)
class _Record:
    """What a lock file says. `started` (the kernel's ticks) tells a process from a later one with the same pid."""

    pid: int
    boot: str
    started: int
    leaving: bool = False

    def encode(self) -> bytes:
        fields = {"pid": self.pid, "boot": self.boot, "started": self.started, "leaving": self.leaving}
        return json.dumps(fields).encode().ljust(RECORD)

    @classmethod
    def decode(cls, data: bytes) -> _Record | None:
        """None for a file whose owner has taken the lock and not yet written."""
        try:
            fields = json.loads(data)
            return cls(int(fields["pid"]), str(fields["boot"]), int(fields["started"]), bool(fields["leaving"]))
        except (ValueError, KeyError, TypeError):
            return None


class Membership:
    """`async with Membership(folder, "w1", on_change=...)`: I am in, until I leave or die; `members` says who else is.

    `on_change` is called with the sorted ids, mine included, as soon as I am in and after each change; it must not wait. Those who
    are leaving are not in the list. `beat` and `missed` are seconds.
    """

    def __init__(
        self,
        directory: Path,
        me: str,
        *,
        on_change: Callable[[tuple[str, ...]], None] = lambda members: None,
        beat: float = 0.5,
        missed: float = 3.0,
    ) -> None:
        if not NAME.fullmatch(me):
            raise ValueError(f"a worker id is 1 to 64 letters, digits, _ or -, not {me!r}")
        self._folder = directory
        self._me = me
        self._on_change = on_change
        self._beat = beat
        self._missed = missed
        self._members: tuple[str, ...] = ()
        self._neighbour: str | None = None
        self._heard = 0.0
        self._lock = -1
        self._folder_fd = -1
        self._socket: socket.socket | None = None
        self._inside: AbstractAsyncContextManager[None] | None = None

    @property
    def members(self) -> tuple[str, ...]:
        """As of the last look."""
        return self._members

    async def __aenter__(self) -> Self:
        self._inside = self._join()
        await self._inside.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        assert self._inside is not None
        return await self._inside.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def _join(self) -> AsyncGenerator[None]:
        """Lock first, files before lock on the way out: whoever takes the id next finds the place empty."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = await self._take()
        try:
            os.pwrite(self._lock, _myself(leaving=False).encode(), 0)
            with self._bind() as sock:
                self.look()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._answer, sock)
                    nursery.start_soon(self._watch)
                    yield
                    nursery.cancel_scope.cancel()
        finally:
            for path in (self._folder / f"{self._me}.beat", self._folder / self._me):
                path.unlink(missing_ok=True)
            os.close(self._lock)

    def leave(self) -> None:
        """Out of everybody's list within a look (`beat` / 2), while I finish what I have; my beat goes on until I exit."""
        os.pwrite(self._lock, _myself(leaving=True).encode(), 0)
        self.look()

    # My own lock and socket

    async def _take(self) -> int:
        with trio.move_on_after(TAKE_WITHIN):
            while True:
                fd = self._try_take()
                if fd is not None:
                    return fd
                await trio.sleep(TAKE_WITHIN / 50)
        raise WorkerIdTaken(f"{self._folder / self._me} is held by a live worker")

    def _try_take(self) -> int | None:
        path = self._folder / self._me
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _lock(fd) and _is_still(fd, path):
            return fd
        os.close(fd)
        return None

    @contextmanager
    def _bind(self) -> Generator[socket.socket]:
        self._folder_fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            (self._folder / f"{self._me}.beat").unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.bind(self._address(self._me))
                self._socket = sock
                yield sock
        finally:
            os.close(self._folder_fd)

    def _address(self, name: str) -> str:
        """A path short enough for a socket: through the open folder when the real one is too long."""
        path = str(self._folder / f"{name}.beat")
        return path if len(path.encode()) <= LONGEST_PATH else f"/proc/self/fd/{self._folder_fd}/{name}.beat"

    # Beats: "?me" asks, "!me" answers

    async def _answer(self, sock: socket.socket) -> None:
        while True:
            await trio.lowlevel.wait_readable(sock)
            with suppress(BlockingIOError):
                while True:
                    self._heard_beat(sock.recv(RECORD))

    def _heard_beat(self, data: bytes) -> None:
        sender = data[1:].decode("ascii", "replace")
        if not NAME.fullmatch(sender):
            return
        if data[:1] == b"?":
            self._tell(sender, b"!")
        elif sender == self._neighbour:
            self._heard = trio.current_time()

    def _tell(self, name: str, kind: bytes) -> None:
        """Never waits: a full or missing socket is a missed beat."""
        assert self._socket is not None
        try:
            self._socket.sendto(kind + self._me.encode(), self._address(name))
        except (BlockingIOError, ConnectionRefusedError, FileNotFoundError):
            pass
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise

    # The others

    async def _watch(self) -> None:
        """Look at the folder twice a beat; beat the neighbour; kill it when it was silent for `missed` while we were awake."""
        last = trio.current_time()
        while True:
            await trio.sleep(self._beat / 2)
            now = trio.current_time()
            if now - last > 2 * self._beat:  # we were the ones who were stopped: it could not have answered us
                self._heard = now
            last = now
            self.look()
            if self._neighbour is None:
                continue
            if now - self._heard > self._missed:
                self._put_down(self._neighbour)
            self._tell(self._neighbour, b"?")

    def look(self) -> None:
        """See now who is alive, instead of at the next look."""
        living = self._living()
        members = tuple(sorted(name for name, record in living.items() if not (record and record.leaving)))
        self._choose_neighbour(sorted({*living, self._me}))
        if members != self._members:
            self._members = members
            self._on_change(members)

    def _living(self) -> dict[str, _Record | None]:
        found: dict[str, _Record | None] = {}
        for name in sorted(path.name for path in self._folder.iterdir()):
            if not NAME.fullmatch(name):
                continue
            if name == self._me:
                found[name] = _Record.decode(os.pread(self._lock, RECORD, 0))
            else:
                alive, record = self._look_at(name)
                if alive:
                    found[name] = record
        return found

    def _look_at(self, name: str) -> tuple[bool, _Record | None]:
        """Whether it holds its lock, and what it says; what a dead one left behind is removed."""
        path = self._folder / name
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False, None
        try:
            if not _lock(fd):
                return True, _Record.decode(os.pread(fd, RECORD, 0))
            if _is_still(fd, path):  # only who holds the lock of a file may remove it
                (self._folder / f"{name}.beat").unlink(missing_ok=True)
                path.unlink(missing_ok=True)
            return False, None
        finally:
            os.close(fd)

    def _choose_neighbour(self, ring: list[str]) -> None:
        right = ring[(ring.index(self._me) + 1) % len(ring)]
        neighbour = right if right != self._me else None
        if neighbour != self._neighbour:
            self._neighbour = neighbour
            self._heard = trio.current_time()

    def _put_down(self, name: str) -> None:
        alive, record = self._look_at(name)
        if not alive or record is None:
            return
        log.error("worker %s (pid %d) has not answered for %g s: killing it", name, record.pid, self._missed)
        _kill(record, lambda: self._look_at(name) == (True, record))
        self._heard = trio.current_time()


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(fd: int, path: Path) -> bool:
    """Whether the path still names the file we have open: it may have been removed between opening and locking."""
    try:
        return path.stat().st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        return False


def _myself(*, leaving: bool) -> _Record:
    return _Record(os.getpid(), _boot(), _started(os.getpid()), leaving)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> int:
    """When the process was started, in the kernel's ticks; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def _kill(record: _Record, still: Callable[[], bool]) -> None:
    """SIGKILL to the very process that wrote the record, if `still` says that it holds its lock; never to a later one with its pid."""
    if record.boot != _boot():
        return
    with suppress(ProcessLookupError):
        if not hasattr(os, "pidfd_open"):
            if still():
                os.kill(record.pid, signal.SIGKILL)
            return
        process = os.pidfd_open(record.pid)
        try:
            if _started(record.pid) == record.started and still():
                signal.pidfd_send_signal(process, signal.SIGKILL)
        finally:
            os.close(process)
