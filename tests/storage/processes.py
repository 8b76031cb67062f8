"""Starting, listening to and killing processes that write, and checking what they left behind."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import trio

from storage.embedded import EmbeddedBackend, open_embedded
from storage.ports.entry import NOWHERE, decode_entry
from storage.ports.log import Row
from tests.contracts.data import ONE
from tests.storage.appender import PARTITIONS

ROOT = Path(__file__).parents[2]


class Appender:
    """One process, and what it said was durable: the last number by conversation."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.acknowledged: dict[str, int] = {}

    def hear(self, count: int) -> None:
        """Wait for so many more acknowledgements."""
        assert self.process.stdout is not None
        for _ in range(count):
            line = self.process.stdout.readline()
            assert line, f"it ended by itself: {self.errors()}"
            self._take(line)

    def kill(self) -> None:
        """SIGKILL, and take what it had said before."""
        self.process.kill()
        self.drain()

    def drain(self) -> None:
        """Everything it says until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith(b"\n"):
                self._take(line)
        self.process.wait(30)

    def errors(self) -> str:
        """What it wrote to stderr, once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def _take(self, line: bytes) -> None:
        conversation, number = line.decode().split()
        self.acknowledged[conversation] = int(number)


@contextmanager
def appender(folder: Path, name: str, rooms: int, before: Sequence[str] = ()) -> Iterator[Appender]:
    """Run one; `before` is put in front of its command line."""
    command = [*before, sys.executable, "-m", "tests.storage.appender", str(folder), name, str(rooms)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield Appender(process)
        finally:
            process.kill()


async def everything(backend: EmbeddedBackend) -> list[Row]:
    """Every row of the log, as following gives it."""
    rows: list[Row] = []
    async with trio.open_nursery() as nursery:
        async def receive() -> None:
            while True:
                rows.extend(await backend.log.receive())

        nursery.start_soon(receive)
        await backend.log.follow(dict.fromkeys(range(PARTITIONS), NOWHERE))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return rows


async def check(folder: Path, acknowledged: Mapping[str, int]) -> int:
    """Nothing acknowledged is lost, nothing doubled, one order, dense seqs. How many rows there are."""
    async with open_embedded(folder, partitions=PARTITIONS) as backend:
        rows = await everything(backend)
        _check_rows(rows, acknowledged)
        for conversation in {row.conversation for row in rows}:
            await _check_stored(backend, conversation, [row for row in rows if row.conversation == conversation])
    return len(rows)


def _check_rows(rows: Sequence[Row], acknowledged: Mapping[str, int]) -> None:
    last: Counter[str] = Counter()
    assert all(earlier.place < later.place for earlier, later in pairwise(rows))
    for row in rows:
        number = decode_entry(row.data).at
        assert number == last[row.conversation] + 1, f"{row.conversation}: {number} behind {last[row.conversation]}"
        last[row.conversation] = number
    for conversation, number in acknowledged.items():
        assert last[conversation] >= number, f"{conversation}: {number} was acknowledged, {last[conversation]} is there"


async def _check_stored(backend: EmbeddedBackend, conversation: str, rows: Sequence[Row]) -> None:
    loaded = await backend.log.load(ONE, conversation, rows[0].partition)
    stored = [row for row in rows if row.place <= loaded.stored]
    assert [row.seq for row in loaded.window] == list(range(1, len(stored) + 1))
    assert [row.place for row in loaded.window] == [row.place for row in stored]
    assert [row.data for row in loaded.window] == [row.data for row in stored]
