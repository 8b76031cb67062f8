"""A crew: one task that gives many actors their turns, so that waking one costs no task of its own.

Most actors of a Directory never wait: their `receive` is a plain function and they have no `started`. Such an actor has a task only in
name. What it has to do is done in a *turn*, in the order in which the actors got something to do, by a task that is there while any of
them has; and when nobody has, there is no task at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from supervisor.life import Life

__all__ = ["Crew"]

SLICE = 0.0015
"""Seconds of turns before other tasks may run."""
AT_ONCE = 256
"""Turns before other tasks may run, however short they are."""


class Crew:
    """The actors of one Directory that have something to do."""

    def __init__(self, begin: Callable[[Life, Callable[[], Awaitable[None]]], None]) -> None:
        """`begin(life, work)` has `work` run as a task, when it may."""
        self._begin = begin
        self._ready: deque[Life] = deque()
        self._working = False

    def __len__(self) -> int:
        return len(self._ready)

    def enlist(self, life: Life) -> None:
        """It has something to do: its turn will come."""
        if not self._working:
            self._begin(life, self._work)
            self._working = True
        self._ready.append(life)

    async def _work(self) -> None:
        ready, now = self._ready, trio.lowlevel.current_clock().current_time
        try:
            while ready:
                at = now()
                until = at + SLICE
                for _ in range(AT_ONCE):
                    life = ready.popleft()
                    if life.turn(at):
                        ready.append(life)
                    at = now()
                    if not ready or at > until:
                        break
                await trio.lowlevel.checkpoint()
        finally:
            self._working = False
