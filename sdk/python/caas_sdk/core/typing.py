"""Typing: when to say that one types, and who else does. Pure."""

from dataclasses import dataclass

from caas_sdk import protocol


@dataclass(slots=True)
class _Session:
    """One's own typing in a conversation. Times are seconds of the clock that is handed in."""

    last_key: float
    said_at: float | None = None


@dataclass(frozen=True, slots=True)
class Typer:
    """Somebody who types."""

    user: str
    kind: str = "text"
    thread: str | None = None


Place = tuple[str, str | None, str]
"""Conversation, thread or None, and what kind of thing is being made."""
Say = tuple[str, Place]
"""`typing.start` or `typing.stop`, and where."""


class Keys:
    """One's own typing: at most one start a second, again every 3 s while typing, stopped after 3 s without a key."""

    def __init__(self) -> None:
        self._sessions: dict[Place, _Session] = {}
        self._last_start: float | None = None

    def key(self, place: Place, now: float) -> list[Say]:
        """A key was pressed."""
        self._sessions.setdefault(place, _Session(now)).last_key = now
        return self.tick(now)

    def stop(self, place: Place) -> list[Say]:
        """The input is empty again."""
        session = self._sessions.pop(place, None)
        return [("typing.stop", place)] if session is not None and session.said_at is not None else []

    def sent(self, conversation: str) -> None:
        """A message was sent: the server says for itself that this ended the typing."""
        for place in [place for place in self._sessions if place[0] == conversation]:
            del self._sessions[place]

    def clear(self) -> None:
        """The connection is lost, and whatever was said of typing with it."""
        self._sessions.clear()

    def tick(self, now: float) -> list[Say]:
        """What is to be said by now."""
        said: list[Say] = []
        for place, session in list(self._sessions.items()):
            if now >= session.last_key + protocol.TYPING_PAUSE_S:
                said += self.stop(place)
            elif now >= self._start_due(session):
                session.said_at = self._last_start = now
                said.append(("typing.start", place))
        return said

    def next_at(self) -> float | None:
        """When to look again."""
        return min((min(session.last_key + protocol.TYPING_PAUSE_S, self._start_due(session)) for session in self._sessions.values()), default=None)

    def _start_due(self, session: _Session) -> float:
        again = session.last_key if session.said_at is None else session.said_at + protocol.TYPING_REPEAT_S
        return again if self._last_start is None else max(again, self._last_start + protocol.TYPING_EVERY_S)


class Typers:
    """Who else types in a conversation, each for 6 s from when it was last said."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, Typer]] = {}

    def all(self) -> list[Typer]:
        """Everybody who types, in order of beginning."""
        return [typer for _, typer in self._until.values()]

    def started(self, typer: Typer, now: float) -> bool:
        """Somebody types. Whether that is news."""
        news = typer.user not in self._until
        self._until[typer.user] = (now + protocol.TYPING_GONE_S, typer)
        return news

    def stopped(self, user: str) -> bool:
        """Somebody stopped, or sent. Whether that is news."""
        return self._until.pop(user, None) is not None

    def tick(self, now: float) -> bool:
        """Whether somebody has been silent for too long."""
        gone = [user for user, (until, _) in self._until.items() if now >= until]
        for user in gone:
            del self._until[user]
        return bool(gone)

    def clear(self) -> bool:
        """Nobody types any more, as far as one knows. Whether somebody did."""
        typed = bool(self._until)
        self._until.clear()
        return typed

    def next_at(self) -> float | None:
        """When to look again."""
        return min((until for until, _ in self._until.values()), default=None)
