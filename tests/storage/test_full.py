"""A full disk: nothing is half written, reading goes on, and it recovers by itself."""

import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import trio

from storage.embedded import EmbeddedBackend, open_embedded
from storage.ports.documents import version
from storage.ports.entry import decode_entry
from storage.ports.errors import StorageFull
from storage.ports.log import Record
from tests.contracts.data import ONE, append, entry, follow, op, read, record, step

pytestmark = pytest.mark.real
DISK = 6 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"NOT TESTED: a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def large(number: int) -> Record:
    """A record of 64 KB."""
    return Record(3, ONE.tenant, "c", [entry(number, body=bytes([number % 256]) * 65_000)])


async def fill(backend: EmbeddedBackend) -> int:
    """Append until there is no room; how many were durable."""
    for number in count(1):
        (error,) = await append(backend.log, large(number))
        if error is not None:
            assert isinstance(error, StorageFull)
            return number - 1
    raise AssertionError


async def test_a_full_disk_refuses_and_recovers_by_itself(small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(DISK // 2))
    async with open_embedded(small_disk / "data") as backend:
        await follow(backend.log, 3)
        written = await fill(backend)
        assert written > 5
        rows = await read(backend.log, written)
        with pytest.raises(StorageFull):
            await backend.log.store(step(rows)._replace(cleared=()))
            await backend.documents.put(ONE, "things", "k", {"large": bytes(65_000)}, version(1))
        assert await append(backend.log, large(999)) != [None]
        assert (await backend.log.load(ONE, "c", 3)).window is not None
        assert await backend.documents.get(ONE, "things", "k") is None

        filler.unlink()
        assert await append(backend.log, record(written + 1)) == [None]
        rows += await read(backend.log, 1)
        assert [decode_entry(row.data).op for row in rows] == [op(number) for number in range(1, written + 2)]
        await backend.log.store(step(rows))
        assert await backend.documents.put(ONE, "things", "k", {}, version(1))
        assert len(await backend.log.entries(ONE, "c", 0, 1_000, 1_000)) == written + 1


async def test_after_a_restart_on_a_full_disk_everything_acknowledged_is_there(small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(DISK // 2))
    async with open_embedded(small_disk / "data") as backend:
        written = await fill(backend)
    filler.unlink()
    async with open_embedded(small_disk / "data") as backend:
        await follow(backend.log, 3)
        rows = await read(backend.log, written)
        assert [decode_entry(row.data).op for row in rows] == [op(number) for number in range(1, written + 1)]


async def test_every_worker_recovers(small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(DISK // 2))
    async with open_embedded(small_disk / "data") as one, open_embedded(small_disk / "data") as other:
        await fill(one)
        await fill(other)
        filler.unlink()
        with trio.fail_after(10):
            assert await append(one.log, large(1)) == [None]
            assert await append(other.log, large(1)) == [None]
