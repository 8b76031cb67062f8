"""The file itself: its settings, its versions, its generations, and what is left of what was erased."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from storage.embedded import Settings, Unfit, open_embedded, raise_generation
from storage.embedded.database import connect, migrate, migrations
from storage.embedded.folder import Folder
from storage.ports.documents import version
from storage.ports.entry import NOWHERE, Place, decode_entry
from storage.ports.errors import Damaged
from storage.ports.log import Record, Storing
from tests.contracts.data import ONE, append, entry, follow, op, read, record, step

OLDER = sorted(Path(__file__).parent.glob("data-of-version-*.sql"))


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}


async def test_every_connection_is_durable(tmp_path: Path) -> None:
    async with open_embedded(tmp_path):
        with closing(connect(Folder(tmp_path))) as connection:
            found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "wal_autocheckpoint")]
    assert found == ["wal", 2, 0]


def test_a_setting_that_does_not_hold_is_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with closing(sqlite3.connect(folder.database)) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises((Unfit, sqlite3.OperationalError)):
            connect(folder, busy_ms=1)


async def test_another_number_of_partitions_is_refused_and_says_which(tmp_path: Path) -> None:
    async with open_embedded(tmp_path, partitions=16):
        with pytest.raises(Unfit, match=r"made with 16 partitions.*configure 16 instead of 32"):
            async with open_embedded(tmp_path, partitions=32):
                pass


async def test_what_a_set_up_is_is_fixed_when_it_is_made(tmp_path: Path) -> None:
    async with open_embedded(tmp_path, setup="first") as backend:
        made = backend.settings
    async with open_embedded(tmp_path, setup="second") as backend:
        assert backend.settings == made
        assert (backend.settings.setup, backend.log.generation, backend.log.epoch, backend.log.partitions) == ("first", 1, 1, 64)


async def test_many_may_make_the_folder_at_once(tmp_path: Path) -> None:
    found: list[Settings] = []

    async def start(number: int) -> None:
        async with open_embedded(tmp_path / "new" / "data", setup=f"by {number}") as backend:
            assert await append(backend.log, record(number, conversation=f"c{number}")) == [None]
            found.append(backend.settings)

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(start, number)
    assert len(set(found)) == 1


def test_migrations_have_numbers_without_gaps() -> None:
    assert [number for number, _ in migrations()] == list(range(1, len(list(migrations())) + 1))


def test_migrations_are_applied_once(tmp_path: Path) -> None:
    with closing(connect(Folder(tmp_path))) as connection:
        migrate(connection)
        tables = _tables(connection)
        migrate(connection)
        assert _tables(connection) == tables
        assert connection.execute("PRAGMA user_version").fetchone() == (len(list(migrations())),)


@pytest.mark.parametrize("older", OLDER, ids=lambda path: path.stem)
async def test_data_of_every_older_version_is_taken_over(tmp_path: Path, older: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "caas.sqlite")) as connection:
        connection.executescript(older.read_text())
    async with open_embedded(tmp_path, partitions=8) as backend:
        assert [decode_entry(row.data).body for row in await backend.log.entries(ONE, "c", 0, 9, 9)] == [b"body 1", b"body 2"]
        held = await backend.documents.get(ONE, "users", "u1")
        assert held is not None
        assert held.doc == {"external_id": "ann"}
        assert await backend.documents.find(ONE, "users", "external", ["ann"]) == [held]
        await follow(backend.log, 3)
        await append(backend.log, record(4))
        assert [decode_entry(row.data).op for row in await read(backend.log, 4)] == [op(number) for number in (1, 2, 3, 4)]
    with closing(sqlite3.connect(tmp_path / "caas.sqlite")) as connection, closing(connect(Folder(tmp_path / "."))) as new:
        assert _tables(connection) == _tables(new)


def test_there_is_data_of_every_older_version() -> None:
    assert [int(path.stem[-4:]) for path in OLDER] == [number for number, _ in migrations()]


async def test_data_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    with closing(connect(Folder(tmp_path))) as connection:
        connection.execute("PRAGMA user_version=9999")
    with pytest.raises(Unfit, match=r"version 9999.*start a newer program"):
        async with open_embedded(tmp_path):
            pass


async def test_after_a_restore_places_are_of_a_new_generation_and_the_old_ones_stay(tmp_path: Path) -> None:
    async with open_embedded(tmp_path) as backend:
        await follow(backend.log, 3)
        await append(backend.log, record(1, 2))
        old = await read(backend.log, 2)
        await backend.log.store(step(old))
    settings = raise_generation(Folder(tmp_path), lost=True)
    assert (settings.generation, settings.epoch) == (2, 2)
    async with open_embedded(tmp_path) as backend:
        await follow(backend.log, 3, after=Place(1, 1))
        await append(backend.log, record(3))
        rows = await read(backend.log, 2)
        assert [row.place for row in rows] == [old[1].place, Place(2, 3)]
        await backend.log.store(step(rows[1:], first=3))
        assert [row.place for row in await backend.log.entries(ONE, "c", 0, 9, 9)] == [Place(1, 1), Place(1, 2), Place(2, 3)]
        assert [each.row.seq for each in await backend.log.stored_after(3, Place(1, 1), 9)] == [2, 3]
        await follow(backend.log)
        await follow(backend.log, 3, after=Place(1, 700))
        assert [row.place for row in await read(backend.log, 1)] == [Place(2, 3)]


def test_places_and_offsets_agree_over_generations() -> None:
    settings = Settings(64, "s", 1, ((1, 1), (101, 2), (201, 4)))
    places = [settings.place(offset) for offset in range(1, 300)]
    assert places == sorted(places)
    for place in [*places, NOWHERE, Place(1, 500), Place(2, 7), Place(3, 150), Place(4, 1), Place(9, 9), Place(1, 50, 3)]:
        reached = settings.offset(place)
        assert [each for each in places if each > place] == [each for each in places if each.offset > reached]


async def test_a_damaged_row_is_reported_and_never_renumbered(tmp_path: Path) -> None:
    async with open_embedded(tmp_path) as backend:
        await follow(backend.log, 3)
        await append(backend.log, record(1, 2, 3))
        await backend.log.store(step(await read(backend.log, 3)))
        with closing(sqlite3.connect(tmp_path / "caas.sqlite")) as connection, connection:
            connection.execute("UPDATE log SET data = CAST(substr(data, 1, 40) || x'00' || substr(data, 42) AS BLOB) WHERE place = 2")
        rows = await backend.log.entries(ONE, "c", 0, 9, 9)
        assert [row.seq for row in rows] == [1, 2, 3]
        with pytest.raises(Damaged):
            decode_entry(rows[1].data)
        await backend.log.store(Storing(cleared=[(ONE.tenant, "c", 2)]))
        assert (await backend.log.entries(ONE, "c", 1, 3, 9))[0].data == rows[1].data
        assert decode_entry(rows[2].data).op == op(3)


async def test_nothing_of_a_removed_body_is_left_in_the_files(tmp_path: Path) -> None:
    canary = b"a-secret-that-must-go" * 20
    async with open_embedded(tmp_path) as backend:
        await follow(backend.log, 3)
        await append(backend.log, record(1), Record(3, ONE.tenant, "c", [entry(2, body=canary)]), record(3))
        await backend.log.store(step(await read(backend.log, 3)))
        await backend.documents.put(ONE, "keys", "k", {"sealed": canary}, version(1))
        assert canary in _bytes(tmp_path)
        await backend.log.store(Storing(cleared=[(ONE.tenant, "c", 2)]))
        await backend.documents.delete(ONE, "keys", "k", version(2))
        with closing(connect(Folder(tmp_path))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert b"a-secret" not in _bytes(tmp_path)


def _bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.name.startswith("caas.sqlite"))


async def test_a_busy_loop_does_not_stop_the_writer(tmp_path: Path) -> None:
    """Each step of SQLite must win Python's lock back from the event loop: hundreds of rows must not mean hundreds of steps."""
    async with open_embedded(tmp_path) as backend:
        left = [400]
        for number in range(400):
            backend.log.append(record(number, conversation="c"), lambda error: left.__setitem__(0, left[0] - (error is None)))
        with trio.fail_after(2):
            while left[0]:
                sum(range(20_000))
                await trio.lowlevel.checkpoint()
