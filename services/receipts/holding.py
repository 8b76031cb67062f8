"""What a user's personal room holds of pointers until the log has them. Pure: the time (in seconds, any clock) is handed in.

A reader moves a pointer several times a second; the log gets one entry for all of them: ten seconds after the first move at the
latest, two after the last, and at once when the user has left.
"""

from collections.abc import Iterable
from typing import Any

from services.receipts.pointers import NOWHERE, Pointer

AT_LEAST_EVERY_S = 10.0
PAUSE_S = 2.0
MOST_AT_ONCE = 500
"""Conversations that one entry moves."""
MOST_KNOWN = 4_000


class Holding:
    """The pointers of one user."""

    __slots__ = ("_first", "_known", "_last", "_left", "_moved", "_not_before", "_number", "_under_way")

    def __init__(self) -> None:
        self._known: dict[str, Pointer] = {}  # by conversation, as far as this life knows
        self._moved: dict[str, Pointer] = {}  # how far the log has it, of those that are further
        self._under_way: dict[int, dict[str, Pointer]] = {}
        self._number = 0
        self._first = self._last = self._not_before = 0.0
        self._left = False

    def __bool__(self) -> bool:
        """Whether the log lacks something."""
        return bool(self._moved or self._under_way)

    def knows(self, conversation: str) -> bool:
        """Whether a move there can be judged; otherwise `learn` first."""
        return conversation in self._known

    def learn(self, conversation: str, pointer: Pointer) -> None:
        """What the log has, or had some time ago."""
        self._forget_some()
        self._known[conversation] = self._known.get(conversation, NOWHERE).forward(pointer)

    def move(self, conversation: str, to: Pointer, now: float) -> bool:
        """Move forward; False when that is no further than before."""
        before = self._known.get(conversation, NOWHERE)
        after = before.forward(to)
        if after == before:
            return False
        if not self._moved:
            self._first = now
        self._last = now
        self._moved.setdefault(conversation, before)
        self._known.pop(conversation, None)
        self._known[conversation] = after  # at the end: what has not moved for long is forgotten first
        return True

    def known(self, conversations: Iterable[str]) -> dict[str, Pointer]:
        """What is known of these."""
        return {name: self._known[name] for name in conversations if name in self._known}

    def due(self) -> float | None:
        """When the next entry is to be made; None while nothing has moved."""
        if not self._moved:
            return None
        at_once = self._left or len(self._moved) >= MOST_AT_ONCE
        return max(self._not_before, self._first if at_once else min(self._first + AT_LEAST_EVERY_S, self._last + PAUSE_S))

    def leave(self) -> None:
        """The user's last connection has gone: what has moved waits no longer."""
        self._left = bool(self._moved)

    def take(self) -> tuple[int, dict[str, Any]]:
        """The facts of the next entry, and a number for `landed`. Call when due."""
        taken = dict(list(self._moved.items())[:MOST_AT_ONCE])
        for name in taken:
            del self._moved[name]
        self._left = self._left and bool(self._moved)
        self._number += 1
        self._under_way[self._number] = taken
        return self._number, _facts({name: (before, self._known[name]) for name, before in taken.items()})

    def landed(self, number: int, *, kept: bool, now: float) -> None:
        """The log has it, or could not take it: then it goes into a later entry."""
        taken = self._under_way.pop(number)
        if kept:
            return
        if not self._moved:
            self._first = now
        self._not_before = now + PAUSE_S
        self._moved = {**self._moved, **taken}

    def _forget_some(self) -> None:
        """So many at once are few; whoever is forgotten is read again."""
        if len(self._known) < MOST_KNOWN:
            return
        needed = set(self._moved).union(*self._under_way.values())
        for name in [name for name in self._known if name not in needed][: MOST_KNOWN // 2]:
            del self._known[name]


def _facts(moves: dict[str, tuple[Pointer, Pointer]]) -> dict[str, Any]:
    """What the entry says: only what moved, and of what was read not that it was delivered too."""
    read = {name: [after.read, after.n] for name, (before, after) in moves.items() if after.read > before.read}
    delivered = {name: after.delivered for name, (before, after) in moves.items() if after.delivered > max(before.delivered, after.read)}
    return {"read": read, "delivered": delivered}
