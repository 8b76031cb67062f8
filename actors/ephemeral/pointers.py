"""Pointers, in a user's personal room: held until the log has them, many moves in one entry (services/receipts/holding.py)."""

import trio

from actors.alarms import Alarm
from actors.ephemeral.part import Host, Quiet
from actors.keys import partition_of
from actors.messages import Signal
from protocol.ids import make_uuid7
from services.acts import Act
from services.deciding import Outcome
from services.receipts.fold import DELIVERED, READ, moves_of
from services.receipts.holding import Holding
from services.receipts.pointers import Pointer
from services.scope import Scope
from storage.ports.entry import Entry, decode_entry
from supervisor import Later

_KINDS = (READ, DELIVERED)


class Pointers(Quiet):
    """`pointers.move` {c, to, from?}: the pointer when it moved, [] when it did not, None when that needs to know where it is stored
    (`from`); `pointers.known` {conversations}: those of them that storage may lack."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._holding = Holding()
        self._alarm: Alarm | None = None
        self._rings_at = 0.0
        self._awaited: list[Later] = []
        house = host.house
        for row in house.tails.of(partition_of(host.key, house.log.partitions), host.key):  # in the log, and perhaps not in storage
            self._learn(decode_entry(row.data))

    def signal(self, signal: Signal) -> object:
        """A pointer moves, or is asked for."""
        if signal.what == "pointers.known":
            return {name: list(pointer) for name, pointer in self._holding.known(signal.p["conversations"]).items()}
        name, to, stored = signal.p["c"], Pointer(*signal.p["to"]), signal.p.get("from")
        if stored is not None:
            self._holding.learn(name, Pointer(*stored))
        elif not self._holding.knows(name):
            return None
        if not self._holding.move(name, to, trio.current_time()):
            return []
        self._look()
        self._host.cross(signal)
        return list(self._holding.known([name])[name])

    def heard(self, signal: Signal) -> None:
        """The user's room on another node holds this move, and will have the log keep it: here it is only shown."""
        if signal.what == "pointers.move":
            self._holding.learn(signal.p["c"], Pointer(*signal.p["to"]))

    def applied(self, entry: Entry, outcome: Outcome) -> None:
        """Another room of this user may have moved some."""
        self._learn(entry)

    def unheard(self) -> Later | None:
        """The user's last connection has gone: what is held goes into the log now."""
        self._holding.leave()
        self._look()
        if not self._holding:
            return None
        self._awaited.append(Later())
        return self._awaited[-1]

    def may_sleep(self) -> bool:
        """When the log has everything."""
        return not self._holding

    def stopped(self) -> None:
        """The room ends here, and goes on elsewhere: have that one append what this one held."""
        if self._alarm is not None:
            self._alarm.cancel()
        while self._holding.due() is not None:
            _, act = self._taken()
            self._host.house.rooms.say(Scope(self._host.key.tenant), act)

    def _learn(self, entry: Entry) -> None:
        if entry.kind in _KINDS:
            for name, pointer in moves_of(entry.facts).items():
                self._holding.learn(name, pointer)

    def _look(self) -> None:
        """Append what is due; be woken for what will be."""
        now = trio.current_time()
        while (due := self._holding.due()) is not None and due <= now:
            self._append()
        if due is not None and (self._alarm is None or not self._alarm.pending or self._rings_at > due):
            self._ring_at(due, now)

    def _ring_at(self, due: float, now: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._rings_at = due
        self._alarm = self._host.alarm(due - now, self._look)

    def _append(self) -> None:
        number, act = self._taken()
        self._host.append(act).attach(lambda verdict, error: self._landed(number, kept=error is None), lambda later: None)

    def _landed(self, number: int, *, kept: bool) -> None:
        self._holding.landed(number, kept=kept, now=trio.current_time())
        self._look()
        while self._awaited and not self._holding:
            self._awaited.pop().answer()

    def _taken(self) -> tuple[int, Act]:
        number, facts = self._holding.take()
        op = make_uuid7(self._host.house.clock.now_ms(), self._host.house.rng.bytes(10))
        return number, Act(self._host.key.conversation, READ if facts["read"] else DELIVERED, op, b"", facts, {})
