"""The desk between trio and the writer: takes requests in, hands results out, and keeps the deadlines of both."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import trio

from storage.embedded.transaction import Transaction
from storage.embedded.waiting import Work
from storage.embedded.writer import Handed, Switch, Writer
from storage.giving_way import GivingWay
from storage.ports.errors import StorageAway, StorageError
from storage.ports.log import Record
from storage.turns import append_of

T = TypeVar("T")

AWAY_AFTER_S = 8.0
"""What the writer has not begun by then is refused: surely not written. Shorter than a command's own deadline."""


class Desk:
    """Everything in trio's thread."""

    def __init__(self, away_after_s: float = AWAY_AFTER_S) -> None:
        self._away_after_s = away_after_s
        self._handed: deque[Handed] = deque()
        self._news = trio.Event()
        self._writer: Writer
        self._giving_way: GivingWay

    def open(self, writer: Writer, giving_way: GivingWay) -> None:
        """Begin to work."""
        self._writer, self._giving_way = writer, giving_way

    def append(self, record: Record, done: Callable[[StorageError | None], None]) -> None:
        """Have a record appended; `done` is called later, by `run`."""
        if self._writer.waiting.put_append(append_of(record, done, trio.current_time())):
            self._giving_way.begin()
        else:
            self.hand(Handed(verdicts=[partial(done, StorageAway("more waits to be written than the disk keeps up with"))]))

    async def write(self, run: Callable[[Transaction], T], *, grows: bool = False) -> T:
        """Have `run` be part of a transaction; its result once that is durable. Raises StorageError."""
        answered, answers = trio.Event(), list[tuple[Any, StorageError | None]]()

        def done(result: Any, error: StorageError | None) -> None:
            answers.append((result, error))
            answered.set()

        if not self._writer.waiting.put_work(Work(run, done, grows, trio.current_time())):
            raise StorageAway("more waits to be written than the disk keeps up with")
        self._giving_way.begin()
        await answered.wait()
        result, error = answers[0]
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def switch(self, switch: Switch) -> None:
        """Have the writer follow other partitions."""
        self._writer.switch(switch)
        self._giving_way.begin()

    def hand(self, handed: Handed) -> None:
        """What comes back, in trio's thread."""
        self._handed.append(handed)
        self._news.set()

    def look(self) -> None:
        """Refuse what has waited too long."""
        late = self._writer.waiting.expire(trio.current_time() - self._away_after_s)
        away = StorageAway("the disk, or another worker that holds the lock, has not answered in time")
        for append in late.appends:
            append.done(away)
        for work in late.works:
            work.done(None, away)

    async def run(self, take: Callable[[Handed], None]) -> None:
        """Hand out: rows first, then verdicts. Raises what ended the writer."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while self._handed:
                handed = self._handed.popleft()
                take(handed)
                for tell in handed.verdicts:
                    tell()
                if handed.fatal is not None:
                    raise handed.fatal
