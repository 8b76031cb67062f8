"""One clock for many actors: who has been quiet for long rests, then sleeps. No timer and no cancel scope for a message."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from math import inf

import trio

__all__ = ["Sweeper"]

GRAIN = 0.05
"""Seconds between two sweeps, at least: ten thousand actors going quiet one by one must not be ten thousand wake-ups."""
AT_ONCE = 1_000
"""Actors looked at before others may run."""

Check = Callable[[float], float]
"""Given the time, do what is due, and return when to be looked at again (inf: never)."""


class Sweeper:
    """Calls each check at about its time. A check is in the heap once; it moves itself by the time it returns."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Check]] = []
        self._count = count()
        self._scope = trio.CancelScope()
        self._earliest = -inf

    def watch(self, due: float, check: Check) -> None:
        """Call `check` at `due` or shortly after."""
        heapq.heappush(self._heap, (due, next(self._count), check))
        if due < self._scope.deadline:
            self._scope.deadline = max(due, self._earliest)

    async def run(self) -> None:
        """Sweep until cancelled; sleeps without a timer while there is nothing to watch."""
        while True:
            with trio.CancelScope(deadline=self._next()) as self._scope:
                await trio.sleep_forever()
            self._sweep(trio.current_time())

    def _next(self) -> float:
        return max(self._heap[0][0], self._earliest) if self._heap else inf

    def _sweep(self, now: float) -> None:
        for _ in range(AT_ONCE):
            if not self._heap or self._heap[0][0] > now:
                break
            check = heapq.heappop(self._heap)[2]
            due = check(now)
            if due < inf:
                heapq.heappush(self._heap, (due, next(self._count), check))
        more = bool(self._heap) and self._heap[0][0] <= now
        self._earliest = now if more else now + GRAIN
