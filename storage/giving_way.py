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


class GivingWay(trio.abc.Instrument):
    """Looks at the clock once in each pass of the scheduler: a timer for each millisecond would cost more than all the rests."""

    def __init__(self, busy: Callable[[], bool], wake: Callable[[], None] | None = None) -> None:
        """`wake` wakes the thread that has work, once a pass: what the tasks of one pass ask for, it finds together."""
        self._busy, self._wake = busy, wake
        self._asked = self._begun = False
        self._rested = 0.0

    def begin(self) -> None:
        """Storage's threads have work."""
        self._asked = self._begun = True

    def before_io_wait(self, timeout: float) -> None:
        """The tasks of this pass have run, and the loop is about to give Python's lock away: the moment to wake somebody."""
        if self._begun:
            self._begun = False
            if self._wake is not None:
                self._wake()

    def after_io_wait(self, timeout: float) -> None:
        """Rest while there is work, each EVERY_S."""
        if not self._asked or trio.current_time() - self._rested < EVERY_S:
            return
        self._asked = self._busy()
        if self._asked:
            select.select((), (), (), REST_S)
        self._rested = trio.current_time()

    async def run(self) -> None:
        """A task of the worker."""
        trio.lowlevel.add_instrument(self)
        try:
            await trio.sleep_forever()
        finally:
            trio.lowlevel.remove_instrument(self)
