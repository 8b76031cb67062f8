"""Who types in one conversation. Pure: the time, in seconds of any clock that does not jump, is handed in.

A connection types one thing at a time. A user's several connections count together: the others hear that a user has stopped when the
last connection has that typed this, and they hear it once.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

GONE_AFTER_S = 6.0
"""Seconds after the last start."""
AT_MOST_EVERY_S = 1.0
"""A start of the same thing that follows another one sooner is not told, and does not count."""
MOST_MEMBERS = 100
"""In larger conversations nobody is told who types."""


class Typist(NamedTuple):
    """What one connection types, and since when."""

    user: str
    """Internal id."""
    external: str
    connection: str
    """Empty: over REST, all of a user's requests together."""
    kind: str
    thread: str
    """The message that the thread hangs on; empty for none."""
    since: float

    @property
    def who(self) -> tuple[str, str]:
        """Whose hands these are."""
        return (self.user, self.connection)

    @property
    def what(self) -> tuple[str, str, str]:
        """What the others see of it."""
        return (self.user, self.kind, self.thread)


class Typists:
    """All who type in a conversation."""

    __slots__ = ("_now",)

    def __init__(self) -> None:
        self._now: dict[tuple[str, str], Typist] = {}

    def __len__(self) -> int:
        return len(self._now)

    @property
    def due(self) -> float:
        """When the next one will have been silent for too long."""
        return min(typist.since for typist in self._now.values()) + GONE_AFTER_S

    def start(self, typist: Typist) -> tuple[bool, Sequence[Typist]]:
        """Somebody types: whether to tell it, and what this ends."""
        before = self._now.get(typist.who)
        same = before is None or before.what == typist.what
        if before is not None and same and typist.since - before.since < AT_MOST_EVERY_S:
            return False, ()
        ended = () if same else self.end(lambda other: other.who == typist.who)
        self._now[typist.who] = typist
        return True, ended

    def end(self, which: Callable[[Typist], bool]) -> Sequence[Typist]:
        """These type no more: those of them of which to tell."""
        ended = [typist for typist in self._now.values() if which(typist)]
        for typist in ended:
            del self._now[typist.who]
        still = {typist.what for typist in self._now.values()}
        return list({typist.what: typist for typist in ended if typist.what not in still}.values())
