"""What every contract is put to: data that nodes can open, and small hands to work it with."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple, Protocol

import trio

from storage.ports.bus import Bus
from storage.ports.counters import Counters
from storage.ports.documents import Documents
from storage.ports.entry import NOWHERE, Entry, Place, encode_entry
from storage.ports.errors import StorageError
from storage.ports.log import Accepted, Change, Following, Log, Record, Row, Storing

WITHIN_S = 20.0
"""Real time: a backend may sit on a real disk."""


class Scope(NamedTuple):
    """Whose data."""

    tenant: str


class FollowedLog(Log, Following, Protocol):
    """What a backend's log offers: the log itself and what followers have."""


class Backend(Protocol):
    """What opening gives: the ports."""

    @property
    def log(self) -> FollowedLog: ...

    @property
    def documents(self) -> Documents: ...

    @property
    def counters(self) -> Counters: ...

    @property
    def bus(self) -> Bus: ...


Data = Callable[[], AbstractAsyncContextManager[Backend]]
"""Each call opens the same data as one more node."""

ONE, OTHER = Scope("tenant-one"), Scope("tenant-other")


def op(number: int) -> bytes:
    """An act's id; later numbers are later acts."""
    return number.to_bytes(6, "big") + b"\x70" + bytes(9)


def entry(number: int, *, kind: str = "message.send", scope: Scope = ONE, conversation: str = "c", body: bytes = b"") -> bytes:
    """An entry whose op and body say its number."""
    return encode_entry(Entry(1, kind, scope.tenant, conversation, "u1", op(number), 0, number, ("n", 1, number), b"d" * 16, "k", {},
                              body or b"body %d" % number))


def record(*numbers: int, partition: int = 3, scope: Scope = ONE, conversation: str = "c") -> Record:
    """A record of entries with these numbers."""
    return Record(partition, scope.tenant, conversation, [entry(number, scope=scope, conversation=conversation) for number in numbers])


async def append(log: Log, *records: Record) -> list[StorageError | None]:
    """Append them at once, and wait for all verdicts of the log."""
    verdicts: list[StorageError | None] = []
    answered = trio.Event()

    def done(error: StorageError | None) -> None:
        verdicts.append(error)
        if len(verdicts) == len(records):
            answered.set()

    for each in records:
        log.append(each, done)
    with trio.fail_after(WITHIN_S):
        await answered.wait()
    return verdicts


async def read(log: Log, count: int) -> list[Row]:
    """The next rows, exactly so many."""
    rows: list[Row] = []
    with trio.fail_after(WITHIN_S):
        while len(rows) < count:
            rows += await log.receive()
    assert len(rows) == count, [row.place for row in rows]
    return rows


async def silent(log: Log) -> bool:
    """Whether nothing comes for a while."""
    with trio.move_on_after(0.25):
        return not await log.receive()
    return True


async def follow(log: Log, *partitions: int, after: Place = NOWHERE) -> None:
    """Follow exactly these."""
    with trio.fail_after(WITHIN_S):
        await log.follow(dict.fromkeys(partitions, after))


def accept(row: Row, seq: int, number: int, kind: str = "message.send") -> Accepted:
    """Storing's word on a row."""
    return Accepted(row, seq, seq, kind, op(number))


def head(scope: Scope, conversation: str, seq: int, window: int, place: Place) -> Change:
    """The head of a conversation, as far as storage looks into it."""
    return Change(scope.tenant, "heads", conversation, {"seq": seq, "window": window}, place)


def step(rows: Sequence[Row], *, first: int = 1, window: int = 1) -> Storing:
    """A step that accepts all these rows of one conversation, the first of them as seq `first` (and as act `first`)."""
    last = rows[-1]
    entries = [accept(row, first + number, first + number) for number, row in enumerate(rows)]
    after = head(Scope(last.tenant), last.conversation, first + len(rows) - 1, window, last.place)
    return Storing(entries, (), [after], {last.partition: last.place})


@asynccontextmanager
async def stored(data: Data, count: int, *, scope: Scope = ONE, conversation: str = "c") -> AsyncIterator[Backend]:
    """A node with so many entries appended to a conversation in partition 3, and all of them stored."""
    async with data() as node:
        await follow(node.log, 3)
        await append(node.log, record(*range(1, count + 1), scope=scope, conversation=conversation))
        await node.log.store(step(await read(node.log, count)))
        yield node
