"""What a read costs: the same in a long conversation as in a short one. Counted in steps of SQLite's machine, not in time."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from storage.embedded.database import Settings, connect, prepare
from storage.embedded.documents import Get, _find
from storage.embedded.folder import Folder
from storage.embedded.indexing import equal_bytes
from storage.embedded.reading import Between, Load, read_after, read_by_op, read_entries, read_log, read_of_each
from storage.embedded.transaction import Transaction, pack
from storage.ports.documents import version
from storage.ports.entry import Place
from storage.ports.log import Change
from tests.contracts.data import ONE, entry, op

FEW, MANY = 200, 4_000
READS: dict[str, Callable[..., Any]] = {
    "an act": lambda settings, connection: read_by_op(settings, ONE.tenant, "c", [op(7)], connection),
    "an act that is not there": lambda settings, connection: read_by_op(settings, ONE.tenant, "c", [op(99_999)], connection),
    "the latest": lambda settings, connection: read_entries(settings, ONE.tenant, "c", Between(0, 2**62, 10, newest=True), connection),
    "the first": lambda settings, connection: read_entries(settings, ONE.tenant, "c", Between(0, 2**62, 10), connection),
    "some of many conversations": lambda settings, connection: read_of_each(settings, ONE.tenant, [("c", 5), ("other", 1)], connection),
    "for a follower": lambda settings, connection: read_after(settings, 3, Place(1, 10, 0), 10, connection),
    "the log": lambda settings, connection: read_log(settings, 10, [3], 10, connection),
    "to wake": lambda settings, connection: Load(settings, ONE.tenant, "c", 3)(connection),
    "documents": lambda settings, connection: Get(ONE.tenant, "sessions", ["s7"])(connection),
    "documents by an index": lambda settings, connection: _find(ONE.tenant, "sessions", "of_user", equal_bytes(("u7",)), None, 10, False, connection),
}


def fill(folder: Folder, count: int) -> Settings:
    """A conversation of so many entries, and as many documents."""
    settings, numbers = prepare(folder, 64, "test"), range(1, count + 1)
    with closing(connect(folder)) as connection:
        transaction = Transaction(connection, settings)
        transaction.begin()
        connection.execute("INSERT INTO conversations VALUES (1, ?, 'c')", (ONE.tenant,))
        connection.execute("INSERT INTO kinds VALUES (1, 'message.send')")
        connection.executemany("INSERT INTO log VALUES (?, 3, 1, ?)", ((number, entry(number)) for number in numbers))
        connection.executemany("INSERT INTO stored VALUES (1, ?, ?, ?, 1)", ((number, number, number) for number in numbers))
        connection.executemany("INSERT INTO acts VALUES (1, ?, ?)", ((op(number), number) for number in numbers))
        connection.executemany("INSERT INTO followed VALUES (3, ?, ?, ?)", ((number, number, number) for number in numbers))
        connection.execute("INSERT INTO places VALUES (3, 1, ?, 0)", (count,))
        for number in numbers:
            transaction.put(pack(Change(ONE.tenant, "sessions", f"s{number}", {"user": f"u{number}"}, version(1))))
        transaction.commit()
    return settings


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Folder, Settings]]:
    folders = [Folder(tmp_path_factory.mktemp("reads")) for _ in (FEW, MANY)]
    return [(folder, fill(folder, count)) for folder, count in zip(folders, (FEW, MANY), strict=True)]


@pytest.mark.parametrize("name", READS)
def test_a_read_costs_the_same_however_much_there_is(name: str, sizes: list[tuple[Folder, Settings]]) -> None:
    few, many = (counted(folder, partial(READS[name], settings)) for folder, settings in sizes)
    assert many <= 1.5 * few + 5, f"{few}0 steps with {FEW} entries, {many}0 with {MANY}"


def counted(folder: Folder, read: Callable[[sqlite3.Connection], Any]) -> int:
    """Tens of steps."""
    total = 0

    def step() -> None:
        nonlocal total
        total += 1

    with closing(connect(folder, read_only=True)) as connection:
        read(connection)  # what it prepares is prepared once
        connection.set_progress_handler(step, 10)
        read(connection)
    return total
