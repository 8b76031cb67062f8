"""The reader: takes what the log gives back, keeps the tails, and hands every row to its room and to storing."""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

import trio

from actors.keys import Key
from actors.storing import Storer
from actors.tails import Tails
from services.deciding import RULES
from storage.ports.entry import BEYOND, NOWHERE, intact, rules_of
from storage.ports.errors import StorageError
from storage.ports.log import Following, Log, Row

_log = logging.getLogger("actors.reader")

LOOK_S = 1.0


class FollowedLog(Log, Following, Protocol):
    """A log, with what only storing and followers have."""


Deliver = Callable[[Key, list[Row]], None]
Agreed = Callable[[], Awaitable[None]]


async def at_once() -> None:
    """Nobody else has to agree."""


class Reader:
    """Follows the partitions of this worker."""

    def __init__(self, log: FollowedLog, tails: Tails, storer: Storer, deliver: Deliver, knows: int = RULES) -> None:
        self._log, self._tails, self._storer, self._deliver, self._knows = log, tails, storer, deliver, knows
        self._assigning = trio.Lock()
        self.damaged: set[int] = set()
        """Partitions that stopped at a record whose checksum does not fit."""
        self.outdated = trio.Event()
        """Set when the log holds an entry of rules that only a newer program knows: nothing is read any more, and this worker must leave."""
        self._behind: set[int] | None = None  # of the first assignment, those whose end has not been read; None: there was none yet

    @property
    def caught_up(self) -> bool:
        """Whether all that was in the log at the first assignment has been read. What is assigned later counts no more."""
        if self._behind:
            self._behind = {partition for partition in self._behind if partition in self._tails and not self._tails.whole(partition)}
        return self._behind is not None and not self._behind

    async def assign(self, partitions: Collection[int], agreed: Agreed = at_once) -> tuple[set[int], set[int]]:
        """Follow exactly these from now on: (gained, lost).

        `agreed` is waited for when those that are lost have been let go, and before it is asked how far the log goes: so whatever others
        acknowledge until they have agreed is read before a room wakes here.
        """
        async with self._assigning:
            held = self._held()
            gained = set() if self.outdated.is_set() else set(partitions) - held - self.damaged
            lost = held - set(partitions)
            self._end(lost)
            places = await self._log.stored_places()
            for partition in gained:
                self._tails.begin(partition, places.get(partition, NOWHERE), whole_at=BEYOND)
                self._storer.begin(partition)
            try:
                await agreed()
                ends = await self._log.follow({partition: self._tails.begins(partition) for partition in (held - lost) | gained})
            except BaseException:
                self._end(gained)  # nothing comes of them: whoever tries again begins with them anew
                raise
            for partition in gained & self._held():
                self._tails.expect(partition, ends.get(partition, NOWHERE))
            if self._behind is None:
                self._behind = gained
            self._divide()
            return gained, lost

    async def run(self) -> None:
        """Read for as long as the worker lives."""
        while True:
            self.take(await self._log.receive())
            await trio.lowlevel.checkpoint()

    async def look(self) -> None:
        """Once a second, see how far storage is, and who is to store (others may)."""
        while True:
            await trio.sleep(LOOK_S)
            try:
                with trio.fail_after(LOOK_S * 10):
                    places = await self._log.stored_places()
            except (StorageError, trio.TooSlowError) as error:
                _log.warning("the stored places cannot be read: %r", error)
                continue
            for partition, place in places.items():
                self._tails.settle(partition, place)
                self._storer.settle(partition, place)
            self._divide()

    def take(self, rows: Sequence[Row]) -> None:
        """Rows, in the log's order."""
        batches: dict[Key, list[Row]] = {}
        now = trio.current_time()
        for row in rows:
            if row.partition not in self._tails or not self._sound(row):
                continue
            key = Key(row.tenant, row.conversation)
            self._tails.add(row, key)
            self._storer.expect(row, now)
            batches.setdefault(key, []).append(row)
        for key, batch in batches.items():
            self._deliver(key, batch)
        self._tails.told()

    def _sound(self, row: Row) -> bool:
        if not intact(row.data):
            self._stop(row)
            return False
        if rules_of(row.data) > self._knows:
            self._leave(row)
            return False
        return True

    def _leave(self, row: Row) -> None:
        """Every partition stops: what is behind this row would be decided otherwise than by those who can read it."""
        _log.critical("partition %d holds rules %d, and this program knows up to %d: start a newer one", row.partition, rules_of(row.data),
                      self._knows)
        self.outdated.set()
        self._end(self._held())

    def _stop(self, row: Row) -> None:
        """A damaged record is no entry, and nothing behind it is read: skipping it could renumber what follows."""
        if row.place <= self._tails.stored(row.partition):
            return
        _log.critical("partition %d stops: the record at %s is damaged; restore it or follow docs/operate.md", row.partition, tuple(row.place))
        self.damaged.add(row.partition)
        self._end({row.partition})

    def _divide(self) -> None:
        self._storer.divide(self._log.stores(self._held()))

    def _held(self) -> set[int]:
        return {partition for partition in range(self._log.partitions) if partition in self._tails}

    def _end(self, partitions: Collection[int]) -> None:
        """The log is told at once. If it went on, whoever follows them again would be given the rows from there on that it has come to by
        then: what came in between, by another worker, would be missing here, and storing would pass over it."""
        self._log.leave(partitions)
        for partition in partitions:
            if partition in self._tails:
                self._tails.end(partition)
                self._storer.end(partition)
