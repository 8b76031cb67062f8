"""The canary: every few seconds a node says something to itself, by the whole way that a message of anybody's goes, and counts what does not
come back: command, room, log, fold, fan-out, a listener in this process; at the next turn it is read back from what was stored.

It lives in a tenant of its own that no application can be. One worker of the node does it for all (the first of the living), in several
rooms in turn, which the ring spreads over the workers. It begins a while after the start, and whatever goes wrong in it stays in it.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, NamedTuple

import msgspec
import trio

from actors.audience import Audience
from actors.dispatch import Dispatch
from actors.fanout import Fanout
from actors.keys import Key
from protocol.errors import Refused
from protocol.ids import show_act
from protocol.world import Ids
from services.scope import Scope
from services.users.model import Profile
from services.users.service import Users

_log = logging.getLogger("caas.canary")
_unpack = msgspec.msgpack.Decoder().decode

TENANT: Final = "~canary"
"""No application's id, and no chosen name, has a `~`."""
USER: Final = "canary"
TEXT: Final = "."
"""What it says: it is kept, so it is short."""
ROOMS: Final = 8
WITHIN_S: Final = 10.0
"""For an acknowledgement, and again for the push: what has not come by then has failed, or is lost."""
_STOOD_STILL_S = 1.0
"""After that, for what has come while the whole process stood still."""
_AGAIN_S = 0.5
_REMEMBERED = 100

Timed = Callable[[str, float], None]
"""Told of each round, in seconds since the command: until `acknowledged`, and until `pushed`."""


class Song(NamedTuple):
    """How the canary is, since this process began."""

    rounds: int
    failed: int
    lost: int
    disordered: int
    silent: bool
    """Whether the last round failed."""
    half_s: float
    """So long until the push for half of the last hundred."""
    most_s: float
    """For 99 of a hundred."""


class Perch:
    """One of its rooms, and the listener there: which seq is due, what was acknowledged, what has come."""

    text = False

    def __init__(self, name: str, user: str, unframe: Callable[[bytes], Iterable[bytes]], wrong: Callable[[int, int, str], None]) -> None:
        """`wrong` is told how many are lost, how many came twice or out of order, and what was seen."""
        self.name, self.user, self._unframe, self._wrong = name, user, unframe, wrong
        self.audience: Audience
        self.last = self.read = 0
        self.kept: dict[int, str] = {}
        """By seq, what was acknowledged and not yet read back."""
        self.awaited = ""
        self.came = trio.Event()
        self.came_at = 0.0

    @property
    def outlet(self) -> "Perch":
        """See fan-out's Listener."""
        return self

    def begin(self, audience: Audience) -> None:
        """From here on every seq is due."""
        self.audience, self.last, self.read = audience, audience.last, audience.last

    def dismissed(self, key: Key) -> None:
        """Nobody shows it out."""

    def wait_for(self, id: str) -> None:
        """This one is on its way."""
        self.awaited, self.came = id, trio.Event()

    def send_frames(self, wire: bytes) -> None:
        """What fan-out brings."""
        for payload in self._unframe(wire):
            push = _unpack(payload)
            if "s" in push:
                self._pushed(push["s"], push.get("p", {}).get("id", ""))

    def acknowledged(self, seq: int, id: str) -> None:
        """It is promised to be there."""
        if (before := self.kept.get(seq, id)) != id:
            self._wrong(1, 0, f"seq {seq} was acknowledged to {before}, and now to {id}")
        self.kept[seq] = id

    def read_back(self, messages: Iterable[dict[str, Any]]) -> None:
        """What storage and the room have after `read`. A worker that has just taken the room over may not have read the last of it yet."""
        there = {message["seq"]: message["id"] for message in messages}
        self.read = max(there, default=self.read)
        due = {seq: id for seq, id in self.kept.items() if seq <= self.read}
        if lost := [f"{id} at {seq}" for seq, id in due.items() if there.get(seq) != id]:
            self._wrong(len(lost), 0, f"acknowledged, and not read back: {', '.join(lost)}")
        if twice := [id for id in due.values() if list(there.values()).count(id) > 1]:
            self._wrong(0, len(twice), f"read back twice: {', '.join(twice)}")
        self.kept = {seq: id for seq, id in self.kept.items() if seq not in due}

    def _pushed(self, seq: int, id: str) -> None:
        if seq > self.last + 1:
            self._wrong(seq - self.last - 1, 0, f"seq {seq} was pushed after {self.last}")
        elif seq <= self.last:
            self._wrong(0, 1, f"seq {seq} was pushed again, or late, after {self.last}")
        self.last = max(seq, self.last)
        if id == self.awaited:
            self.came_at = trio.current_time()
            self.came.set()


class Canary:
    """One worker's; it is silent unless this worker is the first of the node's living."""

    def __init__(self, *, me: str, node: str, every_s: float, members: Callable[[], Collection[str]], dispatch: Dispatch, fanout: Fanout,
                 users: Users, ids: Ids, unframe: Callable[[bytes], Iterable[bytes]], timed: Timed = lambda until, seconds: None) -> None:
        """`unframe`: whole frames, as fan-out hands them on, into their payloads."""
        self._me, self._every_s, self._members = me, every_s, members
        self._dispatch, self._fanout, self._users, self._ids, self._unframe, self._timed = dispatch, fanout, users, ids, unframe, timed
        self._names = [f"canary-{node or 'one'}-{number}" for number in range(ROOMS)]
        self._perches: dict[str, Perch] = {}
        self._scope: Scope | None = None
        self._stopped = trio.Event()
        self._pushed: deque[float] = deque(maxlen=_REMEMBERED)
        self.rounds = self.failed = self.lost = self.disordered = 0
        self._silent = False

    async def run(self) -> None:
        """Until cancelled."""
        while not self._stopped.is_set():
            with trio.move_on_after(self._every_s):
                await self._stopped.wait()
            if self._stopped.is_set() or self._me != min(self._members(), default=self._me):
                self._leave()
            else:
                await self.sing()
        await trio.sleep_forever()  # whoever keeps it alive would begin it anew

    def stop(self) -> None:
        """The worker leaves: what has not come yet is not missed, and nothing more is said."""
        self._stopped.set()
        self._leave()

    @property
    def song(self) -> Song:
        """How it is."""
        sorted_s = sorted(self._pushed) or [0.0]
        half, most = (sorted_s[math.ceil(len(sorted_s) * part) - 1] for part in (0.5, 0.99))
        return Song(self.rounds, self.failed, self.lost, self.disordered, self._silent, half, most)

    async def sing(self) -> None:
        """One round, in the next room."""
        name = self._names[self.rounds % ROOMS]
        self.rounds += 1
        why: object = "it takes too long"
        sung = False
        with trio.move_on_after(4 * WITHIN_S):
            try:
                sung = await self._sung(name)
            except Refused as refused:
                why = f"{refused.code}: {refused.message}"
            except Exception as error:  # noqa: BLE001 - a canary's death must not be the mine's
                why = repr(error)
        if self._stopped.is_set():
            return
        self._silent = not sung
        if not sung:
            self.failed += 1
            _log.warning("the canary's round in %s failed: %s", name, why)

    async def _sung(self, name: str) -> bool:
        perch = self._perches.get(name) or await self._settle(name)
        page = await self._call("message.list", {"c": name, "after": perch.read, "limit": 100})
        perch.read_back(page["items"])
        id, since = show_act(self._ids.uuid7()), trio.current_time()
        perch.wait_for(id)
        sent = await self._call("message.send", {"c": name, "id": id, "text": TEXT})
        self._timed("acknowledged", trio.current_time() - since)
        perch.acknowledged(sent["seq"], id)
        for patience in (WITHIN_S, _STOOD_STILL_S):
            with trio.move_on_after(patience):
                await perch.came.wait()
        if perch.came.is_set():
            self._pushed.append(perch.came_at - since)
            self._timed("pushed", perch.came_at - since)
        elif not self._stopped.is_set():
            self._wrong(1, 0, f"acknowledged at seq {sent['seq']} of {name}, and not pushed within {WITHIN_S:g} s: {id}")
        return True

    async def _settle(self, name: str) -> Perch:
        """The room, made where there is none, and its listener."""
        if self._scope is None:
            internal, _ = await self._users.ensure(Scope(TENANT), Profile(external_id=USER))
            self._scope = Scope(TENANT, internal, USER)
        await self._call("conversation.create", {"type": "group", "id": name})
        perch = Perch(name, self._scope.user, self._unframe, self._wrong)
        audience = await self._fanout.watch(Key(TENANT, name), perch)
        perch.begin(audience)
        self._fanout.join(audience, perch, audience.last)
        self._perches[name] = perch
        return perch

    async def _call(self, m: str, p: dict[str, Any]) -> dict[str, Any]:
        """A command, as anybody's; again with the same id while that may help. Raises Refused."""
        assert self._scope is not None
        until = trio.current_time() + WITHIN_S
        while True:
            try:
                return await self._dispatch.call(self._scope, self._dispatch.table[m], p)
            except Refused as refused:
                if not refused.retryable or trio.current_time() >= until:
                    raise
            await trio.sleep(_AGAIN_S)

    def _leave(self) -> None:
        perches, self._perches = self._perches, {}
        for perch in perches.values():
            self._fanout.leave(perch.audience, perch)

    def _wrong(self, lost: int, disordered: int, seen: str) -> None:
        if self._stopped.is_set():
            return
        self.lost += lost
        self.disordered += disordered
        _log.critical("the canary misses something: %s", seen)
