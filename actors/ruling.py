"""Ruling: by which rules this worker writes. The set-up names their number, and it is raised when everybody knows the next.

An entry carries the number of the rules that its writer checked it by, and is decided by them for ever (services/deciding.py). A program
that knows newer rules still writes by the set-up's number, so that older ones beside it, while a cluster is upgraded node by node, decide the
same. What each worker knows is one of its marks (actors/living.py); when for a while nobody who lives knows less, the number is raised.
A worker that was not heard of all that time, and knows less, meets an entry that it cannot decide, stops and says so: no two ever differ.
"""

import logging

import trio

from actors.living import LIVES_S, Living
from protocol.world import Clock
from services.scope import SYSTEM
from storage.ports.counters import Counters
from storage.ports.documents import Documents, version
from storage.ports.errors import StorageError

_log = logging.getLogger("actors.ruling")

FIRST = 1
LOOK_S = 5.0
SURE_AFTER_S = 2 * LIVES_S
"""For so long nobody who knows less may have been seen: longer than it takes to be heard of."""
_MARK, _COLLECTION, _KEY = "rules", "rules", "number"


class Ruling:
    """One worker's. Where there is one node, all of it runs one program: then it writes by the newest."""

    def __init__(self, knows: int, living: Living | None, counters: Counters, documents: Documents, clock: Clock) -> None:
        self.knows, self._living, self._counters, self._documents, self._clock = knows, living, counters, documents, clock
        self.number = knows if living is None else FIRST
        """What to write by."""
        self._agreed, self._since = 0, float("inf")
        if living is not None:
            living.mark(SYSTEM.tenant, _MARK, knows)

    async def run(self) -> None:
        """Look, for as long as the worker lives."""
        while self._living is not None:
            try:
                with trio.fail_after(LOOK_S):
                    await self._look(self._living)
            except (StorageError, trio.TooSlowError) as error:
                self._agreed = 0
                _log.info("what others know cannot be read: %r", error)
            await trio.sleep(LOOK_S)
        await trio.sleep_forever()

    async def _look(self, living: Living) -> None:
        held = await self._documents.get(SYSTEM, _COLLECTION, _KEY)
        number = int(held.doc["number"]) if held else FIRST
        self.number = min(number, self.knows)
        [marks] = await self._counters.marks(SYSTEM, [_MARK], self._clock.now_ms())
        lowest = min(marks.values()) if living.holder in marks else 0
        if lowest != self._agreed:
            self._agreed, self._since = lowest, trio.current_time()
        if lowest > number and trio.current_time() - self._since >= SURE_AFTER_S:
            await self._documents.put(SYSTEM, _COLLECTION, _KEY, {"number": lowest}, version(lowest))
            self.number = lowest
            _log.info("all nodes know the rules %d: they are written from now on", lowest)
