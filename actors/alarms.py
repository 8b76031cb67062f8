"""Alarms: all timers of a worker in one task, so that neither a typer nor an idle connection holds one of its own."""

import heapq
from collections.abc import Callable
from itertools import count

import trio

MOST = 1_000_000


class Alarm:
    """Something to be called at a moment, unless it is cancelled before."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Not any more. Harmless when it has rung."""
        self._call = None

    @property
    def pending(self) -> bool:
        """Whether it has yet to ring."""
        return self._call is not None

    def ring(self) -> None:
        """Call, once."""
        call, self._call = self._call, None
        if call is not None:
            call()


class Alarms:
    """The alarms of a worker. What is called must not wait and must not raise."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Alarm]] = []
        self._number = count()
        self._news = trio.Event()

    def after(self, seconds: float, call: Callable[[], None]) -> Alarm:
        """Call in so many seconds."""
        if len(self._due) >= MOST:
            self._due = [row for row in self._due if row[2].pending]
            heapq.heapify(self._due)
        alarm = Alarm(call)
        at = trio.current_time() + seconds
        if not self._due or at < self._due[0][0]:
            self._news.set()
        heapq.heappush(self._due, (at, next(self._number), alarm))
        return alarm

    async def run(self) -> None:
        """Ring what is due, for as long as the worker lives."""
        while True:
            self._news = trio.Event()
            until = self._due[0][0] if self._due else float("inf")
            with trio.move_on_at(until):
                await self._news.wait()
            now = trio.current_time()
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2].ring()
