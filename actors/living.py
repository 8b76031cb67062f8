"""Living: this worker's life as the counters know it, and the marks that hold while it lives.

A mark is what other nodes may ask of: who has connections here, what this program knows. The life is renewed every few seconds; when it
is not, because the worker has died, all of its marks are over at once, and nobody has to take them away.
"""

import logging
from collections.abc import Callable

import trio

from protocol.world import Clock
from services.scope import Scope
from storage.ports.counters import Counters
from storage.ports.errors import StorageError

_log = logging.getLogger("actors.living")

LIVES_S, RENEW_S = 15.0, 5.0
WITHIN_S = 2.0
AGAIN_S = 1.0
Mark = tuple[str, str]
"""Tenant and name."""


class Living:
    """One worker's marks. `run` writes them, in the order in which they were made; what is said of one before it was written is left out."""

    def __init__(self, name: str, counters: Counters, clock: Clock) -> None:
        """`name`: of this life of this worker, `node/worker/boot`."""
        self._name, self._counters, self._clock = name, counters, clock
        self._number = 0
        self._marks: dict[Mark, int] = {}
        self._due: dict[Mark, int] = {}
        self._then: list[Callable[[], None]] = []
        self._renewed_at = self.anew_at = float("-inf")
        """`anew_at`: when the counters were found to have forgotten this life, while it lived."""
        self._news = trio.Event()

    @property
    def holder(self) -> str:
        """Whose marks these are. After a time in which it could not be said that it lives, it is another one: what it has not taken away of
        the first is over by itself."""
        return f"{self._name}.{self._number}"

    def mark(self, tenant: str, name: str, value: int, then: Callable[[], None] | None = None) -> None:
        """This holds from now on; 0: no more. `then` is called when it has been written, or could not be."""
        self._due[tenant, name] = value
        if value:
            self._marks[tenant, name] = value
        else:
            self._marks.pop((tenant, name), None)
        if then is not None:
            self._then.append(then)
        self._news.set()

    async def run(self) -> None:
        """Write what is due, and renew, for as long as the worker lives."""
        while True:
            with trio.move_on_at(self._renewed_at + RENEW_S):
                await self._news.wait()
            self._news = trio.Event()
            then, self._then = self._then, []
            written = await self._written()
            for tell in then:
                tell()
            if not written:
                await trio.sleep(AGAIN_S)
                self._news.set()

    async def _written(self) -> bool:
        try:
            with trio.fail_after(WITHIN_S):
                await self._renew()
                while self._due:
                    await self._write()
        except (StorageError, trio.TooSlowError) as error:
            _log.info("the counters cannot be reached, and are tried again: %r", error)
            return False
        return True

    async def _renew(self) -> None:
        now = trio.current_time()
        if now < self._renewed_at + RENEW_S:  # the very moment that `run` waits for, to the last bit
            return
        first = self._renewed_at == float("-inf")
        if now - self._renewed_at > LIVES_S:
            self._number += 1
            self._due = {}
        if not await self._counters.renew(self.holder, int(LIVES_S * 1000), self._clock.now_ms()):
            self._due = {**self._marks, **self._due}
            self.anew_at = self.anew_at if first else now
        self._renewed_at = now

    async def _write(self) -> None:
        """All that is due of one tenant."""
        tenant = next(iter(self._due))[0]
        some = {mark: value for mark, value in self._due.items() if mark[0] == tenant}
        await self._counters.mark(Scope(tenant), self.holder, {name: value for (_, name), value in some.items()})
        for mark, value in some.items():
            if self._due.get(mark) == value:
                del self._due[mark]
