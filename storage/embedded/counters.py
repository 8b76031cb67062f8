"""Counters in SQLite: they ride in the writer's transactions."""

import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial

from storage.embedded.desk import Desk
from storage.embedded.readers import Readers
from storage.embedded.statements import marks, write_rows
from storage.embedded.transaction import Transaction
from storage.ports.scope import Tenanted

_ADD = "INSERT INTO counters VALUES (?, ?, ?) ON CONFLICT (tenant, name) DO UPDATE SET value = value + excluded.value"
_VALUE = "SELECT value FROM counters WHERE tenant = ? AND name = ?"
_WINDOW = "SELECT window, used FROM allowances WHERE tenant = ? AND name = ?"
_MARKS = """SELECT marks.name, marks.holder, value FROM marks JOIN leases ON leases.tenant = '' AND leases.name = marks.holder
            WHERE marks.tenant = ? AND until > ? AND marks.name IN ({names})"""
_LEASE = "SELECT holder, until FROM leases WHERE tenant = ? AND name = ?"


class EmbeddedCounters:
    """The port Counters."""

    def __init__(self, desk: Desk, readers: Readers) -> None:
        self._desk, self._readers = desk, readers

    async def add(self, scope: Tenanted, name: str, amount: int = 1) -> int:
        """See the port."""
        return await self._desk.write(partial(_add, scope.tenant, name, amount), grows=True)

    async def read(self, scope: Tenanted, names: Sequence[str]) -> list[int]:
        """See the port."""
        found = await self._readers.read(partial(_read, scope.tenant, names))
        return [found.get(name, 0) for name in names]

    async def take(self, scope: Tenanted, name: str, amount: int, most: int, window_ms: int, now_ms: int) -> int:
        """See the port."""
        return await self._desk.write(partial(_take, scope.tenant, name, amount, most, now_ms // window_ms), grows=True)

    async def lease(self, scope: Tenanted, name: str, holder: str, ttl_ms: int, now_ms: int) -> bool:
        """See the port."""
        return await self._desk.write(partial(_lease, scope.tenant, name, holder, ttl_ms, now_ms), grows=True)

    async def renew(self, holder: str, ttl_ms: int, now_ms: int) -> bool:
        """See the port."""
        return await self._desk.write(partial(_renew, holder, ttl_ms, now_ms), grows=True)

    async def mark(self, scope: Tenanted, holder: str, marks: Mapping[str, int]) -> None:
        """See the port."""
        await self._desk.write(partial(_mark, scope.tenant, holder, dict(marks)), grows=True)

    async def marks(self, scope: Tenanted, names: Sequence[str], now_ms: int) -> list[dict[str, int]]:
        """See the port."""
        found = await self._readers.read(partial(_marks, scope.tenant, names, now_ms))
        return [found.get(name, {}) for name in names]


def _add(tenant: str, name: str, amount: int, transaction: Transaction) -> int:
    transaction.connection.execute(_ADD, (tenant, name, amount))
    return int(transaction.connection.execute(_VALUE, (tenant, name)).fetchone()[0])


def _read(tenant: str, names: Sequence[str], connection: sqlite3.Connection) -> dict[str, int]:
    select = f"SELECT name, value FROM counters WHERE tenant = ? AND name IN ({marks(names)})"
    return dict(connection.execute(select, (tenant, *names)).fetchall())


def _take(tenant: str, name: str, amount: int, most: int, number: int, transaction: Transaction) -> int:
    current, used = transaction.connection.execute(_WINDOW, (tenant, name)).fetchone() or (number, 0)
    if number > current:
        current, used = number, 0
    had = max(0, min(amount, most - used))
    transaction.connection.execute("INSERT OR REPLACE INTO allowances VALUES (?, ?, ?, ?)", (tenant, name, current, used + had))
    return had


def _lease(tenant: str, name: str, holder: str, ttl_ms: int, now_ms: int, transaction: Transaction) -> bool:
    owner, until = transaction.connection.execute(_LEASE, (tenant, name)).fetchone() or (holder, 0)
    if owner != holder and until > now_ms:
        return False
    transaction.connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)", (tenant, name, holder, now_ms + ttl_ms))
    return True


def _renew(holder: str, ttl_ms: int, now_ms: int, transaction: Transaction) -> bool:
    """A life is a lease of no tenant, held by itself."""
    _, until = transaction.connection.execute(_LEASE, ("", holder)).fetchone() or (holder, 0)
    transaction.connection.execute("INSERT OR REPLACE INTO leases VALUES ('', ?, ?, ?)", (holder, holder, now_ms + ttl_ms))
    return bool(until > now_ms)


def _mark(tenant: str, holder: str, made: Mapping[str, int], transaction: Transaction) -> None:
    rows = [(tenant, name, holder, value) for name, value in made.items() if value]
    write_rows(transaction.connection, "INSERT OR REPLACE INTO marks", rows)
    transaction.connection.executemany("DELETE FROM marks WHERE tenant = ? AND name = ? AND holder = ?",
                                       [(tenant, name, holder) for name, value in made.items() if not value])


def _marks(tenant: str, names: Sequence[str], now_ms: int, connection: sqlite3.Connection) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for name, holder, value in connection.execute(_MARKS.format(names=marks(names)), (tenant, now_ms, *names)):
        found.setdefault(name, {})[holder] = value
    return found
