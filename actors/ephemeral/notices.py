"""Notices, in every room: `notice.message` to members who do not watch. At most one a second; the newest of each second is always told."""

from collections.abc import Mapping, Sequence
from typing import Any

import trio

from actors.alarms import Alarm
from actors.ephemeral.part import Host, Quiet
from actors.messages import Signal
from protocol.errors import Refused
from protocol.limits import NOTICES
from services.deciding import Outcome
from storage.ports.entry import Entry

EVERY_S = 1.0
Said = tuple[Entry, Outcome, Mapping[str, Any]]
"""A message: its entry, what became of it, and its body."""


class Notices(Quiet):
    """Tells of messages that this room has appended itself. Above 1,000 members nobody is told."""

    __slots__ = ("_alarm", "_host", "_newest", "_next_at", "_of")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._next_at = float("-inf")
        self._newest: Said | None = None
        self._alarm: Alarm | None = None
        self._of: tuple[int, Sequence[str]] = (-1, ())  # members, as of the last change of rights

    def signal(self, signal: Signal) -> object:
        """Nobody else has anything to say here."""
        raise Refused("unknown_command")

    def said(self, entry: Entry, outcome: Outcome, body: Mapping[str, Any]) -> None:
        """A message: tell of it now, or at the end of this second if no newer one comes."""
        if self._newest is not None:
            self._newest = (entry, outcome, body)
            return
        now = trio.current_time()
        if now >= self._next_at:
            self._tell((entry, outcome, body))
        else:
            self._newest = (entry, outcome, body)
            self._alarm = self._host.alarm(self._next_at - now, self._tell_newest)

    def may_sleep(self) -> bool:
        """Not with somebody to tell."""
        return self._newest is None

    def stopped(self) -> None:
        """Tell what waits: whoever goes on with the room does not know of it."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._tell_newest()

    def _tell_newest(self) -> None:
        newest, self._newest = self._newest, None
        if newest is not None and self._host.awake:  # a room dozes only long after its last message
            self._tell(newest)

    def _tell(self, said: Said) -> None:
        entry, outcome, body = said
        self._next_at = trio.current_time() + EVERY_S
        users = [user for user in self._members() if user != entry.actor]
        if users:
            told = {"seq": outcome.seq, "n": outcome.n, "sender": body["sender"], **({"silent": True} if body.get("silent") else {})}
            self._host.address([{"t": "notice.message", "p": told}], users, watching=False)

    def _members(self) -> Sequence[str]:
        fold = self._host.fold
        if len(fold.members) > NOTICES:
            return ()
        if self._of[0] != fold.rights:
            self._of = (fold.rights, tuple(fold.members))
        return self._of[1]
