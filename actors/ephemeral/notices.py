"""Notices, in every room: `notice.message` to members who do not watch. At most one a second; the newest of each second is always told."""

from collections.abc import Sequence

import trio

from actors.alarms import Alarm
from actors.ephemeral.part import Host, Quiet
from actors.messages import Signal
from protocol.limits import NOTICES

EVERY_S = 1.0


class Notices(Quiet):
    """`notice.message` {seq, n, sender, silent}, from the room whose own append it was. Above 1,000 members nobody is told."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._next_at = float("-inf")
        self._newest: Signal | None = None
        self._alarm: Alarm | None = None
        self._of: tuple[int, Sequence[str]] = (-1, ())  # members, as of the last change of rights

    def signal(self, signal: Signal) -> None:
        """A message: tell of it now, or at the end of this second if no newer one comes."""
        now = trio.current_time()
        if self._newest is None and now >= self._next_at:
            return self._tell(signal)
        if self._newest is None:
            self._alarm = self._host.alarm(self._next_at - now, self._tell_newest)
        self._newest = signal

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

    def _tell(self, signal: Signal) -> None:
        self._next_at = trio.current_time() + EVERY_S
        told = {name: signal.p[name] for name in ("seq", "n", "sender", "silent") if signal.p[name] is not False}
        users = [user for user in self._members() if user != signal.scope.user]
        if users:
            self._host.address([{"t": "notice.message", "p": told}], users, watching=False)

    def _members(self) -> Sequence[str]:
        fold = self._host.fold
        if len(fold.members) > NOTICES:
            return ()
        if self._of[0] != fold.rights:
            self._of = (fold.rights, tuple(fold.members))
        return self._of[1]
