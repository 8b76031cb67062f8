"""Checks of the database and of the key that opens it. Whatever they read they read only."""

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from functools import wraps
from pathlib import Path
from time import monotonic

from caas.checks.model import Found, Ground, bad, doubtful, good, skipped
from caas.secrets import SIZE
from services.vault.sealing import Unopenable
from services.vault.service import MASTER, opens_master
from storage.embedded.database import connect, connect_to_look, migrations
from storage.embedded.documents import look_up
from storage.embedded.folder import Folder
from storage.failing import Unfit
from storage.ports.entry import decode_entry
from storage.ports.errors import Damaged

LEAST_SQLITE = (3, 35, 0)
WITHIN_S = 20.0
BEHIND_MS = 5_000
SINCE_MS = 1_735_689_600_000
"""2025 began then: a clock before it was never set."""

_STEPS = 100_000
_SET_CLOCK = "set the clock (timedatectl set-ntp true)"
Look = Callable[[Ground, sqlite3.Connection], Found]


def with_database(check: Look) -> Callable[[Ground], Found]:
    """For checks that read the database: skipped where there is none yet, bad where it cannot be read."""

    @wraps(check)
    def look(ground: Ground) -> Found:
        if not Folder(ground.config.data).database.exists():
            return skipped("there is no database yet")
        try:
            with closing(connect_to_look(Folder(ground.config.data))) as connection:
                return check(ground, connection)
        except sqlite3.Error as error:
            return bad(f"the database cannot be read: {error}", "restore a backup of the data folder, or see who may read it")

    return look


def sqlite(ground: Ground) -> Found:
    """The library is new enough."""
    found = ground.machine.sqlite()
    said = f"SQLite {'.'.join(map(str, found))}"
    return good(said) if found >= LEAST_SQLITE else bad(said, f"use a Python with SQLite {'.'.join(map(str, LEAST_SQLITE))} or newer")


def settings(ground: Ground) -> Found:
    """WAL and synchronous=FULL are what is read back, on this very disk: a commit that returned is on it."""
    data = ground.config.data
    try:
        with tempfile.TemporaryDirectory(dir=data if data.is_dir() else None, prefix=".doctor-") as trial, closing(connect(Folder(Path(trial)))):
            pass
        if Folder(data).database.exists():
            with closing(connect_to_look(Folder(data))) as connection:
                (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            if mode != "wal":
                return bad(f"the database is in {mode} mode", "start the server, which sets it back; see who changed it")
    except (Unfit, sqlite3.Error, OSError) as error:
        return bad(str(error), "move the data folder to a local disk that this user may write to")
    return good("journal_mode=wal, synchronous=FULL")


@with_database
def integrity(ground: Ground, connection: sqlite3.Connection) -> Found:
    """SQLite finds nothing damaged (quick_check)."""
    until = monotonic() + WITHIN_S
    connection.set_progress_handler(lambda: not ground.thorough and monotonic() > until, _STEPS)
    try:
        found = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        return doubtful(f"nothing found in {WITHIN_S:.0f} s, and not finished", "caas doctor --thorough, while the server is stopped")
    return good("nothing is damaged") if found == ["ok"] else bad("; ".join(found), "restore a backup of the data folder taken before the damage")


@with_database
def version(ground: Ground, connection: sqlite3.Connection) -> Found:
    """The data are of the version that this program writes, or of an older one."""
    (have,) = connection.execute("PRAGMA user_version").fetchone()
    latest = list(migrations())[-1][0]
    if have > latest:
        return bad(f"version {have}, and this program knows up to {latest}", "start the newer program that wrote it")
    if have < latest:
        return doubtful(f"version {have} of {latest}", "the next start takes it over; make a backup of the data folder before")
    return good(f"version {have}")


@with_database
def partitions(ground: Ground, connection: sqlite3.Connection) -> Found:
    """Their number is the one that the set-up was made with."""
    row = connection.execute("SELECT value FROM settings WHERE name = 'partitions'").fetchone()
    if row is None or row[0] == ground.config.partitions:
        return good(str(ground.config.partitions))
    return bad(f"made with {row[0]}, configured are {ground.config.partitions}", f"set `partitions` to {row[0]}")


def clock(ground: Ground) -> Found:
    """The clock is set, and not before the newest entry: new ids and tokens would be from the past."""
    if ground.machine.now_ms() < SINCE_MS:
        return bad("it was never set", _SET_CLOCK)
    found = _after_newest(ground)
    return found if found.verdict != "skipped" else good("it is set")


@with_database
def _after_newest(ground: Ground, connection: sqlite3.Connection) -> Found:
    row = connection.execute("SELECT data FROM log ORDER BY place DESC LIMIT 1").fetchone()
    try:
        behind = decode_entry(row[0]).at - ground.machine.now_ms() if row else 0
    except Damaged as error:
        return bad(f"the newest entry cannot be read: {error}", "restore a backup of the data folder taken before the damage")
    return bad(f"it is {behind / 1000:.0f} s behind the newest entry", _SET_CLOCK) if behind > BEHIND_MS else good("it is after the newest entry")


def master_key(ground: Ground) -> Found:
    """It is there, for its owner alone, and the one that this set-up was made with: without it no body can be read."""
    path = ground.config.data / "master.key"
    made = Folder(ground.config.data).database.exists()
    if not path.exists():
        return bad(f"{path} is missing", "put it back from where you keep it: a new one opens nothing") if made else skipped("there is no set-up yet")
    try:
        key = path.read_bytes()
    except OSError as error:
        return bad(f"{path} cannot be read: {error.strerror}", f"chown {path} to the user that the server runs as")
    if len(key) != SIZE:
        return bad(f"{path} does not hold {SIZE} bytes", "put back the key that this set-up was made with")
    if path.stat().st_mode & 0o077:
        return bad(f"others may read {path}", f"chmod 600 {path}")
    return _opened(ground, key) if made else good("there, and for its owner alone")


def _opened(ground: Ground, key: bytes) -> Found:
    try:
        with closing(connect_to_look(Folder(ground.config.data))) as connection:
            opens_master(key, look_up(connection, *MASTER))
    except Unopenable:
        return bad("it is not the one that this set-up was made with", "put back the key that this set-up was made with")
    except sqlite3.Error:
        return skipped("the database cannot be read")
    return good("there, for its owner alone, and it opens what is stored")
