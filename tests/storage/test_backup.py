"""Backups are of one moment, restoring tells what is lost, and no flipped bit stays unseen."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from storage.embedded import open_embedded
from storage.embedded.backup import back_up, examine, restore
from storage.embedded.folder import Folder
from storage.embedded.scrub import scrub
from storage.failing import Unfit
from tests.contracts.data import append, record


async def made(folder: Path, *numbers: int) -> None:
    async with open_embedded(folder) as backend:
        for number in numbers:
            await append(backend.log, record(number))


async def test_a_backup_is_taken_while_others_write(tmp_path: Path) -> None:
    async with open_embedded(tmp_path / "data") as backend:
        await append(backend.log, record(1))
        async with trio.open_nursery() as nursery:

            async def write() -> None:
                for number in range(2, 200):
                    await append(backend.log, record(number))

            nursery.start_soon(write)
            state = await trio.to_thread.run_sync(back_up, tmp_path / "data", tmp_path / "backup")
        await append(backend.log, record(1_000))
    assert 1 <= state.entries == state.last <= 199
    assert examine(tmp_path / "backup") == state
    assert examine(Folder(tmp_path / "data").database).entries == 200


async def test_a_backup_replaces_none_and_needs_data(tmp_path: Path) -> None:
    await made(tmp_path / "data", 1)
    (tmp_path / "backup").write_text("mine")
    with pytest.raises(Unfit, match="exists"):
        back_up(tmp_path / "data", tmp_path / "backup")
    with pytest.raises(Unfit, match="no data"):
        back_up(tmp_path / "nowhere", tmp_path / "other")
    assert (tmp_path / "backup").read_text() == "mine"


async def test_a_restore_that_loses_entries_raises_epoch_and_generation(tmp_path: Path) -> None:
    await made(tmp_path / "data", 1, 2)
    back_up(tmp_path / "data", tmp_path / "backup")
    await made(tmp_path / "data", 3)
    restored = restore(tmp_path / "data", tmp_path / "backup")
    assert (restored.lost, restored.state.entries, restored.state.settings.epoch, restored.state.settings.generation) == (True, 2, 2, 2)
    assert restored.aside is not None
    assert examine(restored.aside).entries == 3
    async with open_embedded(tmp_path / "data") as backend:
        assert (backend.log.epoch, backend.log.generation) == (2, 2)
        await append(backend.log, record(4))
    with closing(sqlite3.connect(Folder(tmp_path / "data").database)) as connection:
        assert [place for (place,) in connection.execute("SELECT place FROM log")] == [1, 2, 4], "a place that was lost is never given again"


async def test_each_restore_is_an_epoch_of_its_own(tmp_path: Path) -> None:
    """Clients have seen the one before: the same backup again must be news to them."""
    await made(tmp_path / "data", 1)
    back_up(tmp_path / "data", tmp_path / "backup")
    epochs = []
    for number in (2, 3, 4):
        await made(tmp_path / "data", number)
        epochs.append(restore(tmp_path / "data", tmp_path / "backup").state.settings.epoch)
    assert epochs == [2, 3, 4]


async def test_where_nothing_is_lost_nobody_is_told(tmp_path: Path) -> None:
    await made(tmp_path / "data", 1, 2)
    back_up(tmp_path / "data", tmp_path / "backup")
    restored = restore(tmp_path / "data", tmp_path / "backup")
    assert (restored.lost, restored.state.settings.epoch, restored.state.settings.generation) == (False, 1, 2)


async def test_after_data_that_cannot_be_read_the_epoch_is_above_all_that_can_have_been(tmp_path: Path) -> None:
    await made(tmp_path / "data", 1)
    back_up(tmp_path / "data", tmp_path / "backup")
    Folder(tmp_path / "data").database.write_bytes(b"no database any more" * 1000)
    restored = restore(tmp_path / "data", tmp_path / "backup")
    assert restored.lost
    assert restored.state.settings.epoch > 1_000_000_000


async def test_a_restore_to_an_empty_folder_is_one_whose_losses_are_not_known(tmp_path: Path) -> None:
    await made(tmp_path / "data", 1)
    back_up(tmp_path / "data", tmp_path / "backup")
    restored = restore(tmp_path / "other", tmp_path / "backup")
    assert restored.lost
    assert restored.state.settings.epoch > 1_000_000_000


async def test_a_damaged_backup_changes_nothing(tmp_path: Path) -> None:
    await made(tmp_path / "data", *range(1, 50))
    back_up(tmp_path / "data", tmp_path / "backup")
    whole = (tmp_path / "backup").read_bytes()
    (tmp_path / "backup").write_bytes(whole[: len(whole) // 2])
    before = examine(Folder(tmp_path / "data").database)
    with pytest.raises(Unfit):
        restore(tmp_path / "data", tmp_path / "backup")
    assert examine(Folder(tmp_path / "data").database) == before


async def test_nothing_is_restored_while_somebody_writes(tmp_path: Path) -> None:
    await made(tmp_path / "data", 1)
    back_up(tmp_path / "data", tmp_path / "backup")
    from storage.embedded.folder import FileLock

    with closing(FileLock(Folder(tmp_path / "data").writer_lock)) as lock, lock.held(), pytest.raises(Unfit, match="stop the server"):
        restore(tmp_path / "data", tmp_path / "backup")


async def test_every_flipped_bit_of_an_entry_is_found_and_named(tmp_path: Path) -> None:
    await made(tmp_path, *range(1, 21))
    assert scrub(tmp_path)[:1] == (20,)
    assert scrub(tmp_path).spots == []
    chance = random.Random(1)
    for _ in range(200):
        with closing(sqlite3.connect(Folder(tmp_path).database, isolation_level=None)) as connection:
            place = chance.randrange(1, 21)
            (data,) = connection.execute("SELECT data FROM log WHERE place = ?", (place,)).fetchone()
            bit = chance.randrange(len(data) * 8)
            flipped = bytes(byte ^ (1 << bit % 8) if number == bit // 8 else byte for number, byte in enumerate(data))
            connection.execute("UPDATE log SET data = ? WHERE place = ?", (flipped, place))
            found = scrub(tmp_path).spots
            connection.execute("UPDATE log SET data = ? WHERE place = ?", (data, place))
        assert len(found) == 1, (place, bit)
        assert f"place {place}," in found[0].where


async def test_what_is_damaged_on_the_disk_is_found(tmp_path: Path) -> None:
    """Bits of the file itself, wherever entries lie in it."""
    await made(tmp_path, *range(1, 201))
    file = Folder(tmp_path).database
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [bodies] = [connection.execute("SELECT group_concat(hex(data)) FROM log").fetchone()[0].split(",")]
    whole, chance = file.read_bytes(), random.Random(2)
    for _ in range(40):
        entry = bytes.fromhex(chance.choice(bodies))
        at = whole.find(entry) + chance.randrange(len(entry))
        damaged = bytearray(whole)
        damaged[at] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        assert scrub(tmp_path).spots, at
        file.write_bytes(whole)
    assert scrub(tmp_path).spots == []
