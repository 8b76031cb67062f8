"""Lanes: the commands of one connection, in order within each conversation, as many at once as order allows.

Acts follow each other without waiting (the room keeps their order). What reads, or has to look something up first, runs alone in its
lane: after all that came before it, before all that comes after.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from actors.lazily import NOTHING, begun
from services.acts import Asked

Start = Callable[[str, Any, Asked | Awaitable[Any]], None]
"""With the conversation, the command and its work."""


class Lane:
    """One conversation's commands on one connection."""

    __slots__ = ("acts", "alone", "waiting")

    def __init__(self) -> None:
        self.acts, self.alone = 0, False
        self.waiting: deque[tuple[Any, Asked | Awaitable[Any]]] = NOTHING

    def may(self, work: Asked | Awaitable[Any]) -> bool:
        """Whether this may start now, with nothing waiting before it."""
        return not self.alone and (isinstance(work, Asked) or not self.acts)


class Lanes:
    """All lanes of a connection, by conversation. Commands that speak of none have no order."""

    __slots__ = ("_lanes", "_start")

    def __init__(self, start: Start) -> None:
        self._lanes: dict[str, Lane] = {}
        self._start = start

    def enter(self, conversation: str, command: Any, work: Asked | Awaitable[Any]) -> None:
        """Start it, or have it wait for its turn."""
        if not conversation:
            self._start(conversation, command, work)
            return
        lane = self._lanes.get(conversation)
        if lane is None:
            lane = self._lanes[conversation] = Lane()
        if lane.waiting or not lane.may(work):
            lane.waiting = begun(lane.waiting)
            lane.waiting.append((command, work))
        else:
            self._begin(conversation, lane, command, work)

    def leave(self, conversation: str, *, act: bool) -> None:
        """It is done (an act: it has its verdict)."""
        lane = self._lanes.get(conversation)
        if lane is None:
            return
        if act:
            lane.acts -= 1
        else:
            lane.alone = False
        while lane.waiting and lane.may(lane.waiting[0][1]):
            self._begin(conversation, lane, *lane.waiting.popleft())
        if not (lane.acts or lane.alone or lane.waiting):
            self._lanes.pop(conversation, None)

    def close(self) -> tuple[int, int]:
        """Nothing that waits will be started; how much did, and how many acts of that."""
        waited = acts = 0
        for lane in self._lanes.values():
            waited += len(lane.waiting)
            for _, work in lane.waiting:
                if isinstance(work, Asked):
                    acts += 1
                else:
                    discard(work)
            lane.waiting.clear()
        return waited, acts

    def _begin(self, conversation: str, lane: Lane, command: Any, work: Asked | Awaitable[Any]) -> None:
        if isinstance(work, Asked):
            lane.acts += 1
        else:
            lane.alone = True
        self._start(conversation, command, work)


def discard(work: Awaitable[Any]) -> None:
    """A coroutine that will not be run."""
    close = getattr(work, "close", None)
    if close is not None:
        close()
