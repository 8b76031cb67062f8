"""Figures of the embedded storage: durable rows a second, what storing costs, and how much goes through the write-ahead log.

    python -m bench.storage [--folder DIR] [--seconds S]

Both parts run on a real folder: take one on the disk that will be used.
"""

import argparse
import resource
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import trio

from storage.embedded import Bounds, EmbeddedBackend, open_embedded
from storage.ports.entry import NOWHERE, Entry, encode_entry
from storage.ports.errors import StorageError
from storage.ports.log import Accepted, Change, Record, Row, Storing

TENANT = "app_0123456789abcdef"
PAYLOAD = bytes(100)
GROUP = 100
GATHERED = 500
HEAD = {"seq": 0, "n": 0, "place": (1, 0, 0), "window": 1, "horizon": 0, "horizon_place": (0, 0, 0), "rules": 1, "floor": (0, 0), "type": "group",
        "access": "members", "frozen": False, "deleted": False, "joined": 2, "member_count": 2, "rights": 1, "about": {"name": "bench"},
        "created_by": "u1", "created": 1_700_000_000_000, "updated": 1_700_000_000_000, "last_message": 1, "last_at": 1_700_000_000_000}
NO_CHECKPOINTS = Bounds(checkpoint_from=2**40, checkpoint_above=2**40, wal_most=2**40)


class Cost(NamedTuple):
    """Of so many messages: seconds of the wall and of CPU (all threads), and bytes of the write-ahead log."""

    messages: int
    wall: float
    cpu: float
    wal: int

    def show(self, what: str) -> str:
        return (f"{what:<44} {self.messages / self.wall:>9,.0f}/s   {self.wall / self.messages * 1e6:>6.1f} us wall   "
                f"{self.cpu / self.messages * 1e6:>6.1f} us CPU   {self.wal / self.messages:>7,.0f} bytes of WAL")


def entry(number: int, conversation: str) -> bytes:
    """A message of 100 bytes as it is appended."""
    op, at = number.to_bytes(6, "big") + b"\x70\x00" + number.to_bytes(8, "big"), 1_700_000_000_000 + number
    return encode_entry(Entry(1, "message.send", TENANT, conversation, "~0123456789abcdefghjkmnpqrs", op, number, at, ("worker-1", 1, number),
                              bytes(16), "key-0001", {"n": 1}, PAYLOAD))


def record(number: int, rooms: int) -> Record:
    """One record with one message, in one of so many rooms."""
    room = number % rooms
    name = f"room-{room:07}"
    return Record(room % 64, TENANT, name, [entry(number, name)])


async def append(backend: EmbeddedBackend, records: Sequence[Record]) -> None:
    """Append them at once and wait until all are durable."""
    durable, left = trio.Event(), len(records)

    def done(error: StorageError | None) -> None:
        nonlocal left
        if error is not None:
            raise error
        left -= 1
        if not left:
            durable.set()

    for each in records:
        backend.log.append(each, done)
    await durable.wait()


async def appending(backend: EmbeddedBackend, folder: Path, seconds: float, rooms: int) -> Cost:
    """Group commits of 100, one after the other."""
    records = [record(number, rooms) for number in range(GROUP)]
    await append(backend, records)
    begin, count = Meter(folder), 0
    while begin.wall() < seconds:
        await append(backend, records)
        count += GROUP
    return begin.cost(count)


async def rows_of(backend: EmbeddedBackend, numbers: range, rooms: int) -> list[Row]:
    """Append messages in groups of 100, and read them back."""
    rows: list[Row] = []
    for first in range(numbers.start, numbers.stop, GROUP):
        await append(backend, [record(number, rooms) for number in range(first, first + GROUP)])
    while len(rows) < len(numbers):
        rows += await backend.log.receive()
    return rows


def step_of(rows: Sequence[Row], seqs: dict[str, int]) -> Storing:
    """A step that accepts all of them."""
    entries, heads = [], {}
    for row in rows:
        seq = seqs[row.conversation] = seqs.get(row.conversation, 0) + 1
        entries.append(Accepted(row, seq, seq, "message.send", row.place.offset.to_bytes(16, "big")))
        heads[row.conversation] = Change(row.tenant, "heads", row.conversation, HEAD | {"seq": seq, "n": seq, "place": tuple(row.place)}, row.place)
    return Storing(entries, (), list(heads.values()), {row.partition: row.place for row in rows})


async def storing(backend: EmbeddedBackend, folder: Path, seconds: float, rooms: int) -> Cost:
    """Steps of 500 messages; only the steps are counted."""
    await backend.log.follow(dict.fromkeys(range(64), NOWHERE))
    seqs: dict[str, int] = {}
    wall = cpu = 0.0
    wal = count = 0
    while wall < seconds and count < 100_000:
        step = step_of(await rows_of(backend, range(count, count + GATHERED), rooms), seqs)
        begin = Meter(folder)
        await backend.log.store(step)
        cost = begin.cost(GATHERED)
        wall, cpu, wal, count = wall + cost.wall, cpu + cost.cpu, wal + cost.wal, count + GATHERED
    return Cost(count, wall, cpu, wal)


class Meter:
    """From now on."""

    def __init__(self, folder: Path) -> None:
        self._wal = folder / "caas.sqlite-wal"
        self._at, self._cpu, self._size = trio.current_time(), _cpu(), self._wal.stat().st_size

    def wall(self) -> float:
        return trio.current_time() - self._at

    def cost(self, count: int) -> Cost:
        return Cost(count, self.wall(), _cpu() - self._cpu, self._wal.stat().st_size - self._size)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(folder: Path, seconds: float) -> None:
    """All figures, each on a fresh set-up."""
    for what, work in (
        ("append, groups of 100, 1 room", partial(appending, rooms=1)),
        ("append, groups of 100, 100 rooms", partial(appending, rooms=100)),
        ("store, 500 gathered, 2 rooms", partial(storing, rooms=2)),
        ("store, 500 gathered, 50 rooms", partial(storing, rooms=50)),
        ("store, 500 gathered, 5,000 rooms", partial(storing, rooms=5_000)),
    ):
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            async with open_embedded(Path(fresh), bounds=NO_CHECKPOINTS) as backend:
                print((await work(backend, Path(fresh), seconds)).show(what))


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(), help="where the data is written (default: here)")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each figure (default: 2)")
    arguments = parser.parse_args()
    trio.run(measure, arguments.folder, arguments.seconds)


if __name__ == "__main__":
    main()
