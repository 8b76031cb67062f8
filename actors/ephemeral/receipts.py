"""Receipts, in a conversation's room: who has got how far, told to whom it concerns and remembered for whoever comes to watch."""

from collections.abc import Sequence
from heapq import nsmallest
from typing import Any, NamedTuple

import trio

from actors.alarms import Alarm
from actors.ephemeral.part import Host, Quiet
from actors.messages import Signal
from protocol.errors import Refused
from protocol.limits import RECEIPTS_TO_ALL
from services.receipts.pointers import NOWHERE, Pointer, shown
from services.scope import Scope
from supervisor import Later

EVERY_S = 1.0
SHOWN = 100
"""Members, by joining, whose pointers whoever watches is shown."""
MOST_KNOWN = 2 * SHOWN
MOST_AT_ONCE = 100
"""Receipts in one frame to a sender: the latest."""
LEARNING_S = 1.0


class Known(NamedTuple):
    """A member as this room remembers them. `name` is the external id; empty where they have not begun."""

    name: str
    pointer: Pointer


_NOBODY = Known("", NOWHERE)


class Receipts(Quiet):
    """`receipts.moved` {what, seq, to, at, sender}: told to all who watch; above 100 members gathered, and told once a second to the sender
    of the message. `receipts.known` {users?}: what is remembered, and whom it has to be learned of; `receipts.learn` {known}: what storage
    has of them; `receipts.shown`: what *watched* tells of the first, None where some have to be learned. While one who asked is learning,
    others wait for it: when all come back at once, storage is asked once.

    What moved lately is in no storage yet. So a room that learns asks those of other nodes too (`receipts.asked`, `receipts.told` {known})."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: dict[str, Known] = {}
        self._first: tuple[int, Sequence[str]] = (-1, ())
        self._shown: tuple[Sequence[str], dict[str, dict[str, int]]] | None = None  # of the first, made once for all who come to watch
        self._gathered: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}  # by sender: the latest of each (what, user)
        self._next_at = float("-inf")
        self._alarm: Alarm | None = None
        self._learning: Alarm | None = None
        self._waiting: list[tuple[Sequence[str], Later]] = []
        self._lately: set[str] = set()  # whose pointers have moved in this room's life
        self._ahead: set[str] = set()  # of whom another node has told us before storage did

    def signal(self, signal: Signal) -> object:
        """See the class."""
        match signal.what:
            case "receipts.moved":
                if self._moved(signal):
                    self._host.cross(signal)
            case "receipts.known":
                return self._asked(signal.p.get("users") or self._joined_first())
            case "receipts.shown":
                return self._shown_of_first()
            case "receipts.learn":
                self._learn(signal.p["known"])
            case _:
                raise Refused("unknown_command")
        return None

    def heard(self, signal: Signal) -> None:
        """A pointer has moved on another node: each tells those who are there. Or a room there has woken, and asks what moved before."""
        match signal.what:
            case "receipts.moved":
                self._moved(signal)
            case "receipts.asked":
                if known := self._told(sorted(self._lately & self._known.keys()))["known"]:
                    self._cross("receipts.told", {"known": known})
            case "receipts.told":
                self._take(signal.p["known"])

    def stopped(self) -> None:
        """Tell what was gathered."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._tell_senders()

    def may_sleep(self) -> bool:
        """Not with something gathered."""
        return not self._gathered

    # What passes through.

    def _moved(self, signal: Signal) -> bool:
        """Whether it was news."""
        user, p = signal.scope.user, signal.p
        if user not in self._host.fold.members:
            return False
        before = self._known.get(user, _NOBODY).pointer
        self._remember(user, Known(signal.scope.external, before.forward(Pointer(*p["to"]))))
        if p["seq"] <= (before.read if p["what"] == "read" else before.delivered):
            return False
        self._lately.add(user)
        receipt = {"user": signal.scope.external, "seq": p["seq"], "at": p["at"]}
        if len(self._host.fold.members) <= RECEIPTS_TO_ALL:
            self._host.emit({"t": f"message.{p['what']}", "p": receipt}, signal.scope.connection)
        elif p["sender"] and p["sender"] != user:
            self._gather(p["sender"], p["what"], receipt)
        return True

    def _gather(self, sender: str, what: str, receipt: dict[str, Any]) -> None:
        now = trio.current_time()
        if not self._gathered and now < self._next_at:
            self._alarm = self._host.alarm(self._next_at - now, self._tell_senders)
        gathered = self._gathered.setdefault(sender, {})
        gathered.pop((what, receipt["user"]), None)
        gathered[what, receipt["user"]] = {"t": f"message.{what}", "p": receipt}
        if now >= self._next_at:
            self._tell_senders()

    def _tell_senders(self) -> None:
        gathered, self._gathered = self._gathered, {}
        if gathered:
            self._next_at = trio.current_time() + EVERY_S
        for sender, receipts in gathered.items():
            self._host.address(list(receipts.values())[-MOST_AT_ONCE:], [sender], watching=True)

    # What is remembered.

    def _asked(self, users: Sequence[str]) -> object:
        told = self._told(users)
        if not told["unknown"]:
            return told
        if self._learning is None:
            self._learning = self._host.alarm(LEARNING_S, self._go_on)
            self._cross("receipts.asked", {})
            return told
        later = Later()
        self._waiting.append((users, later))
        return later

    def _go_on(self) -> None:
        """Whoever was learning has done so, or does not come back: those who waited learn what is left by themselves."""
        if self._learning is not None:
            self._learning.cancel()
            self._learning = None
        waiting, self._waiting = self._waiting, []
        for users, later in waiting:
            later.answer(self._told(users))

    def _told(self, users: Sequence[str]) -> dict[str, Any]:
        rows = {user: self._known[user] for user in users if user in self._known}
        return {"known": {user: [known.name, *known.pointer] for user, known in rows.items()},
                "unknown": [user for user in users if user not in rows]}

    def _shown_of_first(self) -> dict[str, dict[str, int]] | None:
        first = self._joined_first()
        if self._shown is None or self._shown[0] is not first:
            if not self._known.keys() >= set(first):
                return None
            self._shown = first, shown({known.name: known.pointer for user in first if (known := self._known[user]).name})
        return self._shown[1]

    def _learn(self, rows: dict[str, Sequence[Any]]) -> None:
        for user, (name, *stored) in rows.items():
            known = self._known.get(user, _NOBODY)
            self._remember(user, Known(known.name or name, known.pointer.forward(Pointer(*stored))))
            if user in self._ahead:
                self._ahead.discard(user)
                self._tell_news(user, Pointer(*stored))
        self._go_on()

    def _take(self, rows: dict[str, Sequence[Any]]) -> None:
        """What a room on another node remembers. Where it is not known what storage has, that is awaited before anybody is told."""
        for user, (name, *said) in rows.items():
            before = self._known.get(user)
            self._remember(user, Known(name, (before or _NOBODY).pointer.forward(Pointer(*said))))
            if before is None:
                self._ahead.add(user)
            else:
                self._tell_news(user, before.pointer)

    def _tell_news(self, user: str, before: Pointer) -> None:
        known, members = self._known.get(user), self._host.fold.members
        if known is None or user not in members or len(members) > RECEIPTS_TO_ALL:
            return
        after, at = known.pointer, self._host.house.clock.now_ms()
        for what, seq, was in (("read", after.read, before.read), ("delivered", after.delivered, max(before.delivered, after.read))):
            if seq > was:
                self._host.emit({"t": f"message.{what}", "p": {"user": known.name, "seq": seq, "at": at}})

    def _cross(self, what: str, p: dict[str, Any]) -> None:
        self._host.cross(Signal(Scope(self._host.key.tenant), what, p))

    def _remember(self, user: str, known: Known) -> None:
        if user in self._known or len(self._known) < MOST_KNOWN or user in self._joined_first():
            self._known[user], self._shown = known, None

    def _joined_first(self) -> Sequence[str]:
        fold = self._host.fold
        if self._first[0] != fold.rights:
            first = nsmallest(SHOWN, ((member.nth, user) for user, member in fold.members.items()))
            self._first = (fold.rights, [user for _, user in first])
        return self._first[1]
