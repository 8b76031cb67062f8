"""Being sure: before a room denies something, it has read all that others had decided when it was asked.

Other nodes append to the same log, and this one reads it some milliseconds later. Whoever was acknowledged there may ask here next, and
must not hear that there is no such thing. So "no", and "that changes nothing", are said only by a room that has read on to where the log
ended when the question came. Who is let in at once pays nothing; nor does anybody where this node alone appends.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

import trio

from actors.tails import Tails
from protocol.errors import Refused
from services.acts import Act
from services.checking import ANSWER, APPEND, Checked
from storage.ports.entry import NOWHERE, Place
from storage.ports.errors import StorageError
from storage.ports.log import Log

_log = logging.getLogger("actors.certainty")

WITHIN_S = 1.0
"""What cannot be made sure of by then is answered as this node knows it."""
_CODES = frozenset({"not_found", "not_a_member", "forbidden", "frozen"})
"""What another entry may have made untrue."""


class Doubtful(Protocol):
    """A command that waits to be checked."""

    sure: bool


class Asking:
    """One question to the log, for all who came before it left."""

    def __init__(self) -> None:
        self.partitions: set[int] = set()
        self.ends: Mapping[int, Place] | None = None


class Certainty:
    """Of one worker."""

    def __init__(self, log: Log, tails: Tails) -> None:
        self._log, self._tails = log, tails
        self.needless = log.alone
        """Whether nobody else decides anything."""
        self._next = Asking()
        self._one_at_a_time = trio.Lock()

    def doubts(self, refused: Refused) -> bool:
        """Whether what others have decided meanwhile may make this refusal untrue."""
        return not self.needless and (refused.code in _CODES or refused.field == "after")

    def doubts_check(self, act: Act, found: Checked | Refused) -> bool:
        """The same of an early check: it refuses, or takes something of the act to be so already."""
        if isinstance(found, Refused):
            return self.doubts(found)
        moot = found.what == ANSWER and found.verdict is not None and found.verdict.unchanged
        return not self.needless and (moot or (found.what == APPEND and found.act is not act))

    async def reach(self, partition: int) -> None:
        """Until all that was in the partition's log at the call has been read here, or it takes too long."""
        if self.needless:
            return
        with trio.move_on_after(WITHIN_S) as scope:
            try:
                await self._tails.reach(partition, await self._end(partition))
            except StorageError as error:
                _log.info("the log does not say how far it goes: %r", error)
        if scope.cancelled_caught:
            _log.info("partition %d was not read to its end in time", partition)

    async def settle(self, partition: int, waiting: Iterable[Doubtful]) -> None:
        """The same, for commands that are checked once more afterwards."""
        asking = list(waiting)
        await self.reach(partition)
        for one in asking:
            one.sure = True

    async def _end(self, partition: int) -> Place:
        """Where the log ends. One question at a time: who comes meanwhile is in the next one."""
        asking = self._next
        asking.partitions.add(partition)
        async with self._one_at_a_time:
            if asking is self._next:
                self._next = Asking()
            if asking.ends is None:
                asking.ends = await self._log.ends(asking.partitions)
        return asking.ends.get(partition, NOWHERE)
