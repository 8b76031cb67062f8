"""A program that declares other indexes than the one before it finds every document by them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.embedded.backend import open_embedded
from storage.embedded.database import connect
from storage.embedded.folder import Folder
from storage.embedded.indexing import keep_indexes
from storage.ports.documents import Index, version
from tests.contracts.data import ONE, OTHER


async def test_an_index_that_is_new_is_filled_and_one_that_is_gone_is_emptied(tmp_path: Path) -> None:
    async with open_embedded(tmp_path) as backend:
        for number in range(1_100):
            await backend.documents.put(ONE, "users", f"u{number:04}", {"external_id": f"n{number:04}", "team": number % 2}, version(1))
        await backend.documents.put(OTHER, "users", "u", {"external_id": "n", "team": 1}, version(1))
        await backend.documents.delete(ONE, "users", "u0003", version(2))
    with closing(connect(Folder(tmp_path))) as connection:
        rows = found(connection)
        assert {name: count for name, count, _ in rows} == {"external": 1_100, "all": 1_100}
        keep_indexes(connection, {"users": {"all": Index((), "external_id"), "team": Index(("team",), "external_id")}})
        assert {name: count for name, count, _ in found(connection)} == {"all": 1_100, "team": 1_100}
        keep_indexes(connection, {"users": {"team": Index(("team",))}})  # it is another one by the same name
        assert [(name, count, first) for name, count, first in found(connection)] == [("team", 1_100, "u")]
    async with open_embedded(tmp_path) as backend:
        assert [held.key for held in await backend.documents.find(ONE, "users", "external", ("n0007",))] == ["u0007"]
        assert len(await backend.documents.find(ONE, "users", "all", (), limit=5_000)) == 1_099
    with closing(connect(Folder(tmp_path))) as connection:
        assert found(connection) == rows


async def test_what_fails_half_way_leaves_everything_as_it_was(tmp_path: Path) -> None:
    async with open_embedded(tmp_path) as backend:
        await backend.documents.put(ONE, "users", "u1", {"external_id": "ann"}, version(1))
        await backend.documents.put(ONE, "users", "u2", {"external_id": "bob"}, version(1))
    with closing(connect(Folder(tmp_path))) as connection:
        before = found(connection)
        connection.execute("UPDATE documents SET doc = x'c1' WHERE key = 'u2'")
        with pytest.raises(Exception, match="MessagePack"):
            keep_indexes(connection, {"users": {"other": Index(("external_id",))}})
    with closing(connect(Folder(tmp_path))) as connection:
        assert found(connection) == before


async def test_the_same_indexes_are_left_alone(tmp_path: Path) -> None:
    async with open_embedded(tmp_path):
        pass
    with closing(connect(Folder(tmp_path))) as connection:
        version_before = connection.execute("PRAGMA data_version").fetchone()
        keep_indexes(connection)
        assert not connection.in_transaction
        assert connection.execute("PRAGMA data_version").fetchone() == version_before


def found(connection: sqlite3.Connection) -> list[tuple[str, int, str]]:
    """(index, rows, first key in it)."""
    return connection.execute("SELECT name, count(*), min(ordered) FROM document_index GROUP BY name ORDER BY name").fetchall()
