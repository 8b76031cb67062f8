"""Reads that gather: together in one transaction, each with its own outcome, and none of an earlier moment than it was asked at."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

from storage.embedded import open_embedded
from storage.embedded.folder import Folder
from storage.embedded.readers import AT_ONCE, Readers
from storage.ports.documents import version
from storage.ports.errors import StorageAway
from tests.contracts.data import ONE, OTHER


class Alike:
    """Notes with how many it was read."""

    kind = "alike"

    def __init__(self, number: int, sizes: list[int]) -> None:
        self.number, self.sizes = number, sizes

    def __call__(self, connection: sqlite3.Connection) -> int:
        if self.number == 13:
            raise ValueError("13")
        return self.number

    def read_all(self, alike: Sequence["Alike"], connection: sqlite3.Connection) -> list[int]:
        self.sizes.append(len(alike))
        return [one(connection) for one in alike]


async def read_each(readers: Readers, works: Sequence[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
    found: list[Any] = [None] * len(works)

    async def read(number: int) -> None:
        try:
            found[number] = await readers.read(works[number])
        except Exception as error:
            found[number] = error

    async with trio.open_nursery() as nursery:
        for number in range(len(works)):
            nursery.start_soon(read, number)
    return found


@pytest.fixture
async def readers(tmp_path: Path) -> Any:
    async with open_embedded(tmp_path):
        readers = Readers(Folder(tmp_path))
        yield readers
        readers.close()


async def test_what_is_asked_for_in_one_turn_is_one_transaction(readers: Readers) -> None:
    seen: set[int] = set()

    def work(connection: sqlite3.Connection) -> int:
        assert connection.in_transaction
        seen.add(id(connection))
        return 1

    assert await read_each(readers, [work] * AT_ONCE) == [1] * AT_ONCE
    assert len(seen) == 1


async def test_more_than_fits_is_read_all_the_same(readers: Readers) -> None:
    assert await read_each(readers, [lambda connection: 1] * (3 * AT_ONCE + 1)) == [1] * (3 * AT_ONCE + 1)


async def test_what_is_alike_is_read_in_one_go(readers: Readers) -> None:
    sizes: list[int] = []
    assert await read_each(readers, [Alike(number, sizes) for number in range(9)]) == list(range(9))
    assert sizes == [9]


async def test_one_that_fails_fails_alone(readers: Readers) -> None:
    found = await read_each(readers, [Alike(number, []) for number in (1, 13, 2)])
    assert (found[0], found[2]) == (1, 2)
    assert isinstance(found[1], ValueError)


async def test_an_error_of_the_file_is_told_as_ours(readers: Readers) -> None:
    found = await read_each(readers, [lambda connection: connection.execute("SELECT nothing"), lambda connection: 1])
    assert isinstance(found[0], StorageAway)
    assert found[1] == 1


async def test_whoever_gives_up_is_not_read_for(readers: Readers) -> None:
    ran: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(readers.read, lambda connection: ran.append(1))
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert await readers.read(lambda connection: 2) == 2
    assert ran in ([], [1]), "it may have begun, and nobody waits for it"


async def test_whoever_has_seen_a_write_commit_reads_it(tmp_path: Path) -> None:
    async with open_embedded(tmp_path) as backend, trio.open_nursery() as nursery:

        async def disturb() -> None:
            while True:
                await backend.documents.get(ONE, "things", "other")

        for _ in range(4):
            nursery.start_soon(disturb)
        for number in range(1, 200):
            await backend.documents.put(ONE, "things", "k", {"number": number}, version(number))
            held = await backend.documents.get(ONE, "things", "k")
            assert held is not None
            assert held.doc == {"number": number}
        nursery.cancel_scope.cancel()


async def test_the_same_documents_for_many_are_each_ones_own(tmp_path: Path) -> None:
    async with open_embedded(tmp_path) as backend:
        for scope in (ONE, OTHER):
            for key in "abc":
                await backend.documents.put(scope, "things", key, {"of": scope.tenant, "key": key, "list": []}, version(1))
        found: list[Any] = []

        async def read(scope: Any, keys: Sequence[str]) -> None:
            found.append((scope.tenant, keys, await backend.documents.get_many(scope, "things", keys)))

        async with trio.open_nursery() as nursery:
            for scope in (ONE, OTHER):
                for keys in (["a"], ["a", "b"], ["c", "none"], ["none"]):
                    nursery.start_soon(read, scope, keys)
        assert len(found) == 8
        for tenant, keys, held in found:
            assert {key: one.doc for key, one in held.items()} == {key: {"of": tenant, "key": key, "list": []} for key in keys if key != "none"}
            for one in held.values():
                one.doc["list"].append(1)
