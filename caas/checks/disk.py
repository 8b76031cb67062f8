"""Checks of the data folder and the disk below it."""

import os
import tempfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path

from caas.checks.model import Found, Ground, bad, doubtful, good, skipped
from storage.embedded.folder import Folder

GIB, MIB = 1 << 30, 1 << 20
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "fuse.glusterfs", "ceph", "fuse.ceph", "lustre", "afs", "9p", "vboxsf",
                     "fuse.s3fs", "fuse.rclone", "virtiofs", "davfs", "fuse.davfs2"})
MEMORY = frozenset({"tmpfs", "ramfs"})
SLOW_S, TOO_SLOW_S = 0.010, 0.100


def in_folder(check: Callable[[Ground], Found]) -> Callable[[Ground], Found]:
    """For checks that look into the data folder: skipped where there is none yet."""

    @wraps(check)
    def look(ground: Ground) -> Found:
        return check(ground) if ground.config.data.is_dir() else skipped("there is no data folder yet")

    return look


def folder(ground: Ground) -> Found:
    """The data folder can be written to, or made; and only its owner reads it."""
    data = ground.config.data
    if data.exists() and not data.is_dir():
        return bad(f"{data} is a file", "name another folder with `data`")
    where = data if data.exists() else _nearest(data)
    if not _writable(where):
        return bad(f"{where} cannot be written to by this user (uid {os.getuid()})", f"chown or chmod {where}, or name another folder with `data`")
    if not data.exists():
        return good(f"{data} is not there yet, and can be made")
    if data.stat().st_mode & 0o007:
        return doubtful(f"everybody on this machine may look into {data}", f"chmod o-rwx {data}")
    return good(f"{data} can be written to")


def disk(ground: Ground) -> Found:
    """It is a disk of this machine: locks and the write-ahead log do not work over a network, and memory forgets."""
    where = _nearest(ground.config.data)
    kind = ground.machine.filesystem(where)
    if kind in NETWORK:
        return bad(f"{where} is on {kind}, a network file system", "move the data folder to a local disk")
    if kind in MEMORY:
        return bad(f"{where} is on {kind}: it is gone when the machine restarts", "move the data folder to a disk")
    return good(f"local ({kind})" if kind else "the system does not say what kind it is")


def room(ground: Ground) -> Found:
    """There is room: 1 GiB at least, for the write-ahead log alone may take half of that."""
    where = _nearest(ground.config.data)
    free = ground.machine.free_bytes(where)
    said = f"{free / GIB:.1f} GiB free at {where}"
    if free < 256 * MIB:
        return bad(said, "make room, or move the data folder: sends are refused when the disk is full")
    return doubtful(said, "make room soon") if free < GIB else good(said)


@in_folder
def sync(ground: Ground) -> Found:
    """Writing until it is on the disk (fsync) is quick: nothing is acknowledged before."""
    if not _writable(ground.config.data):
        return skipped("the data folder cannot be written to")
    took = ground.machine.sync_seconds(ground.config.data)
    said = f"{took * 1000:.2f} ms for 4 KiB, the median of 20"
    if took >= TOO_SLOW_S:
        return bad(said, "use a disk that syncs in a few milliseconds: every acknowledgement waits for one")
    return doubtful(said, "a faster disk makes every send faster") if took >= SLOW_S else good(said)


@in_folder
def failed_sync(ground: Ground) -> Found:
    """No worker has seen the disk fail to keep what was written."""
    mark = Folder(ground.config.data).failed
    if mark.exists():
        return bad(f"{mark} is there: an fsync failed, and all workers stopped",
                   "look at the disk (dmesg, smartctl), then start again: the start removes it")
    return good("no fsync has failed")


def _nearest(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _writable(where: Path) -> bool:
    try:
        with tempfile.NamedTemporaryFile(dir=where, prefix=".doctor-"):
            return True
    except OSError:
        return False
