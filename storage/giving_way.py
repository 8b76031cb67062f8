"""Letting storage's threads have Python's lock while the event loop is busy.

A loop that never rests gives the lock away for microseconds only, at each system call, and takes it back before another thread has
woken; each time, that thread's wait for a forced switch begins anew. A writer was seen to starve so for ten seconds. So while
storage has something to do, the loop rests for a moment now and then: long enough for a thread to wake, and rarely enough not to matter.
"""

import select
from collections.abc import Callable

import trio

EVERY_S = 0.001
REST_S = 0.000_05


class GivingWay:
    """A task of the worker; `begin` says that storage's threads have work."""

    def __init__(self, busy: Callable[[], bool]) -> None:
        self._busy = busy
        self._asked = trio.Event()

    def begin(self) -> None:
        """There is work."""
        self._asked.set()

    async def run(self) -> None:
        """Rest while there is work; sleep while there is none."""
        while True:
            await self._asked.wait()
            await trio.sleep(EVERY_S)
            if self._busy():
                select.select((), (), (), REST_S)
            else:
                self._asked = trio.Event()
