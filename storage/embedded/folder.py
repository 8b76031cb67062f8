"""The data folder: which files are in it, and the locks that workers take on two of them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Folder:
    """Paths. `failed` exists from an fsync error until a start has checkpointed: while it does, no worker may go on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "caas.sqlite"
        self.wal = path / "caas.sqlite-wal"
        self.writer_lock = path / "writer.lock"
        self.checkpoint_lock = path / "checkpoint.lock"
        self.failed = path / "fsync-failed"

    def wal_bytes(self) -> int:
        """How large the write-ahead log is."""
        try:
            return self.wal.stat().st_size
        except FileNotFoundError:
            return 0


class FileLock:
    """A lock between processes. It ends with its holder, however that ends. Each instance excludes every other."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it; waits in the kernel for as long as somebody else does, so only threads may ask."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    @contextmanager
    def held_if_free(self) -> Iterator[bool]:
        """Hold it unless somebody else does; says whether it is held."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let the file go, and the lock with it."""
        os.close(self._file)
