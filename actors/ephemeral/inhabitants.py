"""The parts that live in one room: each made when first needed, all told what they must know."""

from collections.abc import Iterable
from typing import Any

from actors.ephemeral.notices import Notices
from actors.ephemeral.part import Host, Part, Quiet
from actors.messages import Signal
from services.deciding import Outcome
from storage.ports.entry import Entry
from supervisor import Later


class Inhabitants:
    """A room's parts, by name."""

    __slots__ = ("_following", "_host", "_notices", "_parts")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._parts: dict[str, Part] = {}
        self._following: tuple[Part, ...] = ()  # those to whom an accepted entry means something
        self._notices: Notices | None = None

    def signal(self, signal: Signal) -> object:
        """Hand it to the part that `what` begins with; its answer."""
        return self.part(signal.what.partition(".")[0]).signal(signal)

    def part(self, name: str) -> Part:
        """The part of this name."""
        part = self._parts.get(name)
        if part is None:
            part = self._parts[name] = self._host.house.ephemeral[name](self._host)
            if getattr(type(part), "applied", None) is not Quiet.applied:
                self._following += (part,)
        return part

    def needs_fold(self, signal: Signal) -> bool:
        """Whether the room has to be awake for it: to make a part, always."""
        part = self._parts.get(signal.what.partition(".")[0])
        return part is None or part.needs_fold

    def concerned(self, signal: Signal, *, listening: bool) -> bool:
        """Whether what happened on another node matters here. `listening`: somebody here watches the conversation."""
        name = signal.what.partition(".")[0]
        if name in self._parts:
            return True
        make = self._host.house.ephemeral.get(name)
        return listening and make is not None and make.listens

    def heard(self, signal: Signal) -> None:
        """It has happened on another node."""
        self.part(signal.what.partition(".")[0]).heard(signal)

    def said(self, entry: Entry, outcome: Outcome, plain: dict[str, Any]) -> None:
        """The room whose own append a message was has those told who do not watch. On every message's way: no more than it takes."""
        if self._notices is None:
            self._notices = self._parts["notice"] = Notices(self._host)
        self._notices.said(entry, outcome, plain)

    def applied(self, entry: Entry, outcome: Outcome) -> None:
        """The log has accepted an entry."""
        for part in self._following:
            part.applied(entry, outcome)

    def caught_up(self, news: Iterable[tuple[Entry, Outcome]]) -> None:
        """The room is awake, and the log had accepted these while it dozed: its parts ask a fold that has all of them."""
        for entry, outcome in news if self._following else ():
            self.applied(entry, outcome)

    def unheard(self) -> Later | None:
        """Nobody watches any more; answered when what follows from that is in the log."""
        waits = [later for part in self._parts.values() if (later := part.unheard()) is not None]
        return waits[0] if waits else None  # no two parts live in the same kind of conversation and append

    def left(self, worker: str) -> None:
        """What a worker has told us is void."""
        for part in self._parts.values():
            part.left(worker)

    def may_sleep(self) -> bool:
        """Whether nothing would be lost."""
        return all(part.may_sleep() for part in self._parts.values())

    def stopped(self) -> None:
        """The room ends."""
        for part in self._parts.values():
            part.stopped()
