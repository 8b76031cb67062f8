"""Who types in a conversation, as its room knows it. The rules are in services/typing/typists.py; here are time and telling."""

from collections.abc import Iterable

import trio

from actors.alarms import Alarm
from actors.ephemeral.part import Host, Quiet
from actors.messages import Signal
from protocol.errors import Refused
from services.checking import refusal
from services.deciding import Outcome
from services.rights import allowed
from services.typing.typists import GONE_AFTER_S, MOST_MEMBERS, Typist, Typists
from storage.ports.entry import Entry

_SLACK_S = 0.000_1  # a sum of floats may fall short of the moment it was to reach
_MESSAGES = ("message.new", "message.reply")


class Typing(Quiet):
    """One alarm for all who type: it rings when the next one has been silent for too long."""

    __slots__ = ("_alarm", "_host", "_typists")

    def __init__(self, host: Host) -> None:
        self._host, self._typists = host, Typists()
        self._alarm: Alarm | None = None

    def signal(self, signal: Signal) -> object:
        """Start, or stop. Raises Refused for who may not send here."""
        if signal.what == "typing.stop":
            told = self._stop(signal)
        else:
            self._check(signal)
            told = self._start(signal)
        if told:
            self._host.cross(signal)
        return {}

    def heard(self, signal: Signal) -> None:
        """On another node, which has checked it. If that node says no more of them, they are silent here 6 s later as well."""
        if signal.what == "typing.stop":
            self._stop(signal)
        else:
            self._start(signal)

    def applied(self, entry: Entry, outcome: Outcome) -> None:
        """What is sent is typed no more; and who may no longer send is not typing."""
        if not self._typists:
            return
        if entry.kind in _MESSAGES:
            thread = entry.facts.get("thread") or ""
            self._tell(self._typists.end(lambda typist: (typist.user, typist.thread) == (entry.actor, thread)))
        else:
            self._tell(self._typists.end(lambda typist: bool(allowed(self._host.fold, typist.user, "send"))))

    def left(self, worker: str) -> None:
        """Its connections are gone."""
        self._tell(self._typists.end(lambda typist: typist.connection.rpartition("-")[0] == worker))

    def may_sleep(self) -> bool:
        """Not while somebody types."""
        return not self._typists

    def stopped(self) -> None:
        """The next room begins with nobody; who still types says so again."""
        self._tell(self._typists.end(lambda typist: True))
        if self._alarm is not None:
            self._alarm.cancel()

    def _check(self, signal: Signal) -> None:
        if code := allowed(self._host.fold, signal.scope.user, "send") or self._blocked():
            raise Refused(code, field="c") if code == "not_found" else refusal(code, signal.what)

    def _start(self, signal: Signal) -> bool:
        """Whether anybody is told."""
        if len(self._host.fold.members) > MOST_MEMBERS:
            return False
        scope = signal.scope
        kind, thread = signal.p.get("kind", "text"), signal.p.get("thread", "")
        typist = Typist(scope.user, scope.external, scope.connection, kind, thread, trio.current_time())
        told, ended = self._typists.start(typist)
        self._tell(ended)
        if told:
            self._host.emit({"t": "typing.started", "p": _shown(typist)}, typist.connection)
            self._arm()
        return told

    def _blocked(self) -> str:
        blocks = self._host.blocks
        return "blocked" if blocks is not None and blocks.closed else ""

    def _stop(self, signal: Signal) -> bool:
        """Whether there was anything to stop."""
        who, kind, thread = (signal.scope.user, signal.scope.connection), signal.p.get("kind"), signal.p.get("thread")
        before = len(self._typists)
        self._tell(self._typists.end(lambda typist: typist.who == who and kind in (None, typist.kind) and thread in (None, typist.thread)))
        return len(self._typists) < before

    def _tell(self, ended: Iterable[Typist]) -> None:
        for typist in ended:
            self._host.emit({"t": "typing.stopped", "p": _shown(typist)}, typist.connection)

    def _arm(self) -> None:
        if self._typists and (self._alarm is None or not self._alarm.pending):
            self._alarm = self._host.alarm(self._typists.due - trio.current_time(), self._silent)

    def _silent(self) -> None:
        long_ago = trio.current_time() - GONE_AFTER_S + _SLACK_S
        self._tell(self._typists.end(lambda typist: typist.since <= long_ago))
        self._arm()


def _shown(typist: Typist) -> dict[str, str]:
    shown = {"user": typist.external, "kind": typist.kind}
    return {**shown, "thread": typist.thread} if typist.thread else shown
