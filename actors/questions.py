"""Questions to a room: what it tells of its conversation, once it has seen what whoever asks has seen, and denies only when it is sure.

Somebody may know of an entry before it is read here: from a faster node, or from what that has stored. Who asks then waits for it.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

import trio

from actors.house import House
from actors.messages import Ask, Message, Patience, Rung
from actors.refusing import settle
from actors.viewing import Recent, lacks, view
from protocol.errors import Refused
from protocol.limits import AHEAD_WAIT_S
from services.deciding import Fold
from supervisor import Later


class Asked(Protocol):
    """A room, as its questions see it."""

    house: House

    @property
    def partition(self) -> int:
        """Of the log."""

    @property
    def fold(self) -> Fold:
        """The conversation as it stands."""

    def recent(self) -> Sequence[Recent]:
        """What storage does not have yet."""

    def errand(self, work: Callable[[], Awaitable[Any]], outcome: Callable[[Any, Exception | None], Message], within: float = ...) -> None:
        """Do what needs time; what comes of it comes back as a message."""


class Questions:
    """Of one room."""

    __slots__ = ("_ahead", "_room")

    def __init__(self, room: Asked) -> None:
        self._room = room
        self._ahead: list[tuple[Ask, Later]] = []  # who knows more than this room does so far

    @property
    def waiting(self) -> bool:
        """Whether anybody waits for what is not read yet."""
        return bool(self._ahead)

    def surely(self, answer: Callable[[], object], *, doubted: bool = False) -> object:
        """Answer; where that denies something, only when all has been read that others had decided by now."""
        certainty = self._room.house.certainty
        try:
            if certainty.needless or not doubted:
                return answer()
        except Refused as refused:
            if not certainty.doubts(refused):
                raise
        later = Later()
        self._room.errand(partial(certainty.reach, self._room.partition),
                          lambda _, error: Rung(partial(later.fail, error) if error else partial(settle, later, answer)))
        return later

    def ask(self, message: Ask) -> object:
        """What this scope may know, at once or when it has been read here. Raises Refused."""
        if not lacks(self._room.fold, message.view):
            return self._viewed(message)
        later = Later()
        self._ahead.append((message, later))
        stranger = self._refused(message) is not None  # what was not seen so far may have let them in
        wait = partial(self._room.house.certainty.reach, self._room.partition) if stranger else partial(trio.sleep, AHEAD_WAIT_S)
        self._room.errand(wait, lambda _, error: Patience(later), AHEAD_WAIT_S * 2)
        return later

    def read_on(self) -> None:
        """The room has seen more: answer those who waited for that."""
        if not self._ahead:
            return
        waiting, self._ahead = self._ahead, []
        for message, later in waiting:
            if lacks(self._room.fold, message.view):
                self._ahead.append((message, later))
            else:
                settle(later, partial(self._viewed, message))

    def out_of_patience(self, waited: object) -> None:
        """Who has waited long enough is told that this server lags; or refused, if it would be anyway."""
        for message, later in self._ahead:
            if later is waited:
                self._ahead.remove((message, later))
                later.fail(self._refused(message) or Refused("unavailable", "This server has not seen that `seq` yet: ask again.", field="seq"))
                return

    def _refused(self, message: Ask) -> Refused | None:
        try:
            self._viewed(message)
        except Refused as refused:
            return refused
        return None

    def _viewed(self, message: Ask) -> dict[str, Any]:
        room = self._room
        return view(room.fold, room.house.log.epoch, room.house.kinds, room.recent(), message.scope, message.view)
