"""Whether a user is there, as the user's personal room knows it. What follows from what is in services/presence/state.py.

Workers claim that they have devices of the user, and that they want to hear of the user (actors/presences.py). A room that has just begun
knows neither, so before it says `offline` it asks all workers; what cannot be found out is `unknown`.

While somebody here watches, devices on other nodes count as well (actors/elsewhere.py). Each node's room waits the 30 s for itself; the one
whose worker had the last device has the log keep when that was, or, when that node has died, whoever finds out.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import msgspec

from actors.alarms import Alarm
from actors.elsewhere import is_elsewhere
from actors.ephemeral.part import Host, Quiet
from actors.messages import Signal
from actors.waking import moved
from protocol.ids import make_uuid7
from services.acts import Act
from services.deciding import Outcome
from services.history import sealed_for
from services.presence.fold import CHOSEN, SEEN, kept
from services.presence.model import Chosen
from services.presence.state import GONE_AFTER_S, Devices, others_view, own_view
from services.scope import Scope
from storage.ports.entry import Entry
from storage.ports.errors import Damaged
from supervisor import Later

AGAIN_S = 1.0
THEIRS_S = 1.0
"""So much longer a room waits for the node that had the last device: then all nodes say the same of when that went."""
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode

View = dict[str, Any]


class Presence(Quiet):
    """One user's presence. It needs the fold only to begin, so that a room may doze while its user is there."""

    __slots__ = ("_alarm", "_asking", "_attending", "_chosen", "_devices", "_host", "_sealed", "_told", "_told_of", "_waiting", "_watchers")

    needs_fold: ClassVar[bool] = False
    listens: ClassVar[bool] = False

    def __init__(self, host: Host) -> None:
        self._host, self._devices, self._chosen = host, Devices(), Chosen()
        self._watchers: tuple[str, ...] = ()
        self._waiting: tuple[Later, ...] = ()
        self._told: list[View] = []
        self._sealed: tuple[str, bytes, bytes] | None = None  # the chosen text, while it is not open: key, op, body
        self._alarm: Alarm | None = None
        self._asking = self._attending = False
        self._told_of = False  # the last device went on another node, which said so: that one keeps when
        self._choose()

    def signal(self, signal: Signal) -> object:
        """Claims of workers. Watching is answered with what the others see, and what the user sees."""
        worker: str = signal.p.get("worker", "")
        match signal.what:
            case "presence.here":
                self._here({worker: signal.p["idle"]})
            case "presence.left":
                self._went(worker)
            case "presence.watch":
                self._watchers = (*_without(self._watchers, worker), worker)
                self._attend()
                return self._watched(signal.p["seen"])
            case "presence.unwatch":
                self._watchers = _without(self._watchers, worker)
                self._attend()
            case "presence.barred":
                self._bar(signal)
                self._host.cross(signal)
        return None

    def heard(self, signal: Signal) -> None:
        """On another node devices come or go, or the user blocks somebody, or no longer."""
        match signal.what:
            case "presence.barred":
                self._bar(signal)
            case "presence.here" if self._attending:
                self._here({signal.p["worker"]: signal.p["idle"]})
            case "presence.left" if self._attending:
                self._went(signal.p["worker"], told=True)

    def _bar(self, signal: Signal) -> None:
        for watcher in self._watchers:
            self._host.house.presences.bar(watcher, self._host.key, signal.p["user"], signal.p["barred"])

    def applied(self, entry: Entry, outcome: Outcome) -> None:
        """The user has chosen something; or the node that had the last device has found that nobody has."""
        if entry.kind in (CHOSEN, SEEN):
            if entry.kind == SEEN and self._told_of and self._devices.just_left(entry.facts["at"]):
                self._devices.absent()
            self._choose()
            self._tell()

    def left(self, worker: str) -> None:
        """All that a worker has claimed is void. If it lives, it claims it anew."""
        self._watchers = _without(self._watchers, worker)
        self._attend()
        self._went(worker)

    def may_sleep(self) -> bool:
        """Not while somebody is there, or somebody looks."""
        return not (self._devices.there or self._watchers or self._waiting or self._asking)

    def stopped(self) -> None:
        """Whoever has claimed something claims it anew, where the room is next. Who has just left may not come back: keep when that was."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self._devices.left_at is not None and not self._told_of and (act := self._seen(self._devices.left_at)):
            self._host.house.rooms.say(Scope(self._host.key.tenant), act)
        if self._attending:
            self._host.house.presences.elsewhere.leave(self._host.key)
        for later in self._waiting:
            later.fail(moved())
        for worker in {*self._watchers, *self._devices.workers} - {*self._elsewhere}:
            self._host.house.presences.say(worker, self._host.key, [])

    # Devices.

    def _here(self, found: dict[str, bool]) -> None:
        for worker, idle in found.items():
            self._devices.here(worker, idle)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._tell()

    def _went(self, worker: str, *, told: bool = False) -> None:
        if self._devices.left(worker, self._host.house.clock.now_ms()):
            self._told_of = told
            self._wait(GONE_AFTER_S + (THEIRS_S if told else 0.0))
        else:
            self._tell()  # those that are left may all be idle

    @property
    def _elsewhere(self) -> list[str]:
        return [worker for worker in self._devices.workers if is_elsewhere(worker)]

    def _attend(self) -> None:
        """While somebody watches, other nodes count."""
        elsewhere, key = self._host.house.presences.elsewhere, self._host.key
        if self._attending == bool(self._watchers):
            return
        self._attending = not self._attending
        if self._attending:
            elsewhere.attend(key, lambda found: self._soon(partial(self._looked, found)))
        else:
            elsewhere.leave(key)
            self._devices.forget(self._elsewhere)

    def _looked(self, found: dict[str, bool] | None) -> None:
        """What other nodes have, all of it; None: that cannot be known, and then nobody without devices here is said to be away."""
        if not self._attending:
            return None
        if found is None:
            self._devices.forget(self._elsewhere)
            if not self._devices.connected:
                self._devices.untold()
            return self._tell(told=True)
        if found:
            self._here(found)
        for worker in self._elsewhere:
            if worker not in found:
                self._went(worker)
        if self._devices.there is None:
            self._ask()

    def _wait(self, seconds: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._host.alarm(seconds, self._ask)

    def _ask(self) -> None:
        """Nobody has said for long that the user is there: ask everybody."""
        self._alarm = None
        if not (self._asking or self._devices.connected):
            self._asking = True
            self._host.house.presences.ask_all(self._host.key, lambda found: self._soon(partial(self._asked, found)))

    def _soon(self, call: Callable[[], None]) -> None:
        """In the room's own turn."""
        self._host.alarm(0.0, call)

    def _asked(self, found: dict[str, bool] | None) -> None:
        self._asking = False
        if self._devices.connected:
            return
        if found and not self._attending and all(map(is_elsewhere, found)):  # they are there, and nobody here wants to know
            self._devices.absent()
            self._devices.untold()
            return
        if found:
            self._here(found)
            return
        if found is None:
            self._devices.untold()
            self._wait(AGAIN_S)
        elif self._devices.there is not False:
            self._leave()
        self._tell(told=True)

    def _leave(self) -> None:
        """Nobody has devices of the user. When that is news, it is kept; but not of one whom nobody was to see."""
        since = self._devices.left_at
        self._devices.absent()
        if since is not None and not self._told_of and (act := self._seen(since)):
            self._chosen = self._chosen._replace(seen_at=max(since, self._chosen.seen_at))
            self._host.append(act)

    def _seen(self, since: int) -> Act | None:
        if self._chosen.status == "invisible":
            return None
        house = self._host.house
        op = make_uuid7(house.clock.now_ms(), house.rng.bytes(10))
        return Act(self._host.key.conversation, SEEN, op, b"", {"at": since}, {})

    # What is told.

    def _watched(self, seen: str) -> object:
        """Tell how it is; when it is not known, find out first. Who was seen here a moment ago is believed to be, for a while."""
        if seen not in ("", "offline", "unknown") and self._devices.believe(self._host.house.clock.now_ms()):
            self._wait(GONE_AFTER_S)
        self._tell()
        if self._devices.there is not None and self._sealed is None:
            return self._views()
        later = Later()
        self._waiting = (*self._waiting, later)
        if self._devices.there is None:
            self._ask()
        return later

    def _views(self) -> list[View]:
        there, idle = self._devices.there, self._devices.idle
        return [others_view(there, idle, self._chosen), own_view(there, idle, self._chosen)]

    def _tell(self, *, told: bool = False) -> None:
        """Answer who waits, and tell the watchers what is new. `told`: that nothing is known may be said."""
        if not self._watchers or self._sealed is not None or (self._devices.there is None and not told):
            return
        views, waiting = self._views(), self._waiting
        self._waiting = ()
        for later in waiting:
            later.answer(views)
        if views != self._told:
            self._told = views
            for worker in self._watchers:
                self._host.house.presences.say(worker, self._host.key, views)

    # What the user has chosen.

    def _choose(self) -> None:
        """As the fold has it; a text has to be opened first."""
        chosen = kept(self._host.fold)
        self._chosen = Chosen(chosen.get("status", "online"), "", chosen.get("seen_at", 0))
        self._sealed = (chosen["key"], chosen["op"], chosen["sealed"]) if "sealed" in chosen else None
        self._open()

    def _open(self) -> None:
        if self._sealed is None:
            return
        key, op, body = self._sealed
        house, of = self._host.house, self._host.key
        try:
            plain = house.vault.open(of.tenant, key, sealed_for(*of, op), body) if key else body
        except Damaged:  # the key was erased, and the text with it
            plain = b""
        if plain is None:
            self._fetch(key)
            return
        self._sealed = None
        self._chosen = self._chosen._replace(text=_text(plain))

    def _fetch(self, key: str) -> None:
        def fetched(_: object, error: Exception | None) -> None:
            self._host.alarm(AGAIN_S if error else 0.0, self._opened)

        house = self._host.house
        if not house.errands.run(partial(house.vault.ensure, self._host.key.tenant, [key]), fetched):
            self._host.alarm(AGAIN_S, self._opened)

    def _opened(self) -> None:
        self._open()
        self._tell()


def _text(plain: bytes) -> str:
    said = _decode(plain) if plain else {}
    return str(said.get("value", {}).get("text", ""))


def _without(workers: Sequence[str], worker: str) -> tuple[str, ...]:
    return tuple(other for other in workers if other != worker)
