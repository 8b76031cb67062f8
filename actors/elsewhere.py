"""Elsewhere: which users have devices on other nodes, and how many.

Each worker marks its users in the counters: how many connections, and whether all of them have been idle for long. What changes there is
also said on the bus, as a hint. Whoever watches a user here makes the user's personal room *attend*: it is told at once what is said, and
what the counters have is looked at every few seconds, for what was lost and for nodes that have died.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import trio

from actors.across import Across
from actors.here import Here
from actors.house import Errands
from actors.keys import Key
from actors.living import RENEW_S, Living
from actors.messages import Signal
from protocol.world import Clock
from services.scope import Scope
from storage.ports.counters import Counters
from storage.ports.errors import StorageError

_log = logging.getLogger("actors.elsewhere")

LOOK_S = 5.0
UNKNOWN_AFTER_S = 15.0
"""For so long what was seen last is believed, when the counters cannot be read."""
SURE_AFTER_S = 2 * RENEW_S
"""Counters that are back, or have lost everything, have been told everything again by then; before, nobody is said to be away."""
WITHIN_S = 2.0
AT_ONCE = 500

Found = dict[str, bool]
"""Those who have devices of a user, and whether these are idle."""
Tell = Callable[[Found | None], None]
"""Told which workers of other nodes have devices of a user; None when nobody can tell."""


class Elsewhere:
    """Other nodes, for one worker. Where there are none, nothing is elsewhere."""

    def __init__(self, across: Across, living: Living, counters: Counters, errands: Errands, clock: Clock,
                 heard: Callable[[Key, Signal], None]) -> None:
        """`heard`: hands a signal to the personal room, if it is here."""
        self._across, self._living, self._counters, self._errands, self._clock, self._heard = across, living, counters, errands, clock, heard
        self._said: dict[Key, bool] = {}
        """Of the users here: whether it was said that they are idle."""
        self._attending: dict[Key, Tell] = {}
        self._last: dict[Key, Found | None] = {}
        self._seen_at = self._sure_at = float("-inf")
        across.on("here", self._hear)

    def __bool__(self) -> bool:
        """Whether there may be other nodes."""
        return bool(self._across)

    def note(self, here: Here) -> None:
        """A user's connections on this worker are others now."""
        if not self._across:
            return
        key, said = here.key, None if here.over else here.idle
        news = self._said.get(key) is not said
        if said is None:
            self._said.pop(key, None)
        else:
            self._said[key] = said
        self._living.mark(key.tenant, _name(key), 2 * here.count + here.idle, partial(self._say, key) if news else None)

    def ask(self, key: Key, tell: Tell) -> None:
        """Look, once."""
        if not self._across:
            return tell({})
        work = partial(self._read, key.tenant, [key])
        if not self._errands.run(work, lambda found, error: tell(None if error else self._sure(_devices(found[0]))), WITHIN_S):
            tell(None)

    async def connections(self, scope: Scope, personal: str) -> int:
        """How many connections a user has on all other workers, as far as anybody can tell."""
        if not self._across:
            return 0
        try:
            with trio.fail_after(WITHIN_S / 4):
                [marks] = await self._counters.marks(scope, [_name(Key(scope.tenant, personal))], self._clock.now_ms())
        except (StorageError, trio.TooSlowError):
            return 0
        return sum(value // 2 for holder, value in marks.items() if holder != self._living.holder)

    # For the personal rooms here whose users somebody watches.

    def attend(self, key: Key, tell: Tell) -> None:
        """Tell what is found now, and whatever is found to be otherwise later."""
        if self._across:
            self._attending[key] = tell
            self.ask(key, partial(self._found, key, tell))

    def leave(self, key: Key) -> None:
        """No more."""
        self._attending.pop(key, None)
        self._last.pop(key, None)

    async def run(self) -> None:
        """Look, for as long as the worker lives."""
        while self._across:
            await trio.sleep(LOOK_S)
            keys = sorted(self._attending)
            try:
                with trio.fail_after(LOOK_S):
                    await self._look(keys)
                if self._sure_at == float("inf"):
                    self._sure_at = trio.current_time() + SURE_AFTER_S
                self._seen_at = trio.current_time()
            except (StorageError, trio.TooSlowError) as error:
                _log.info("the counters cannot be read: %r", error)
                self._sure_at = float("inf")
                if trio.current_time() - self._seen_at > UNKNOWN_AFTER_S:
                    for key in keys:
                        self._tell(key, None)
        await trio.sleep_forever()

    async def _look(self, keys: Sequence[Key]) -> None:
        """Tenant by tenant, as many at once as one read should bring."""
        for tenant in dict.fromkeys(key.tenant for key in keys):
            of = [key for key in keys if key.tenant == tenant]
            for begin in range(0, len(of), AT_ONCE):
                some = of[begin : begin + AT_ONCE]
                for key, marks in zip(some, await self._read(tenant, some), strict=True):
                    found = self._sure(_devices(marks))
                    if found is not None or not self._last.get(key):  # whoever was seen is believed to be there until we are sure
                        self._tell(key, found)

    def _sure(self, found: Found) -> Found | None:
        """That nobody is there is believed of counters that have not been away."""
        sure = trio.current_time() >= max(self._sure_at, self._living.anew_at + SURE_AFTER_S)
        return found if found or sure else None

    async def _read(self, tenant: str, keys: Iterable[Key]) -> list[dict[str, int]]:
        """Of each, the marks of other nodes."""
        found = await self._counters.marks(Scope(tenant), [_name(key) for key in keys], self._clock.now_ms())
        return [{holder: value for holder, value in marks.items() if holder.partition("/")[0] != self._across.node} for marks in found]

    def _found(self, key: Key, tell: Tell, found: Found | None) -> None:
        if self._attending.get(key) is tell:
            self._tell(key, found)

    def _tell(self, key: Key, found: Found | None) -> None:
        """Only what is new."""
        tell = self._attending.get(key)
        if tell is not None and self._last.get(key, False) != found:
            self._last[key] = found
            tell(found)

    # Hints.

    def _say(self, key: Key) -> None:
        self._across.tell("here", *key, self._living.holder, self._said.get(key))

    def _hear(self, tenant: str, personal: str, holder: str, idle: bool | None) -> None:
        key = Key(tenant, personal)
        if key in self._attending:
            found = {**(self._last.get(key) or {}), holder: bool(idle)}
            if idle is None:
                del found[holder]
            self._last[key] = found
            said: dict[str, Any] = {"worker": holder} if idle is None else {"worker": holder, "idle": idle}
            self._heard(key, Signal(Scope(tenant), "presence.left" if idle is None else "presence.here", said))


def is_elsewhere(worker: str) -> bool:
    """Whether these are devices on another node: its workers go by `node/worker/boot`."""
    return "/" in worker


def _name(key: Key) -> str:
    return f"here/{key.conversation}"


def _devices(marks: dict[str, int]) -> Found:
    return {holder: bool(value % 2) for holder, value in marks.items()}
