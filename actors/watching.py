"""What one connection watches: joining an audience in one step with the reply, and catching up at the pace of its socket."""

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import trio

from actors.audience import Audience, Listener
from actors.fanout import Fanout
from actors.house import Errands
from actors.keys import Key
from actors.lazily import NOTHING, begun
from protocol.errors import Refused
from services.acts import Rooms, View
from services.conversations.service import about
from services.history import History
from services.receipts.pointers import shown
from services.receipts.service import Receipts
from services.scope import Scope

PAGE = 200
AT_ONCE, AT_ONCE_BYTES = 100, 48 * 1024
"""What may follow a reply without asking whether the socket takes it: of one conversation, and of all together."""
AGAIN_S = 0.25

Reached = dict[str, dict[str, int]]
"""How far members have got, as *watched* tells it: `read` and `delivered`. One object for all who watch: not to be changed."""
NOBODYS: Reached = shown({})


class Client(Listener, Protocol):
    """The connection, as watching sees it."""

    @property
    def closed(self) -> bool: ...

    def send(self, frame: dict[str, Any]) -> None: ...

    async def wait_drained(self) -> None: ...


class Watch:
    """One conversation that a connection watches. `last` is what it was sent, while it is not live."""

    __slots__ = ("audience", "head_told", "last", "over", "wire")

    def __init__(self, wire: str, audience: Audience, last: int) -> None:
        self.wire, self.audience, self.last = wire, audience, last
        self.head_told, self.over = last, False


class Watched:
    """What a watch was found to be, before it begins: the reply is made and the connection joins in one step."""

    __slots__ = ("after", "audience", "epoch", "key", "reached", "said_epoch", "view", "wire")

    def __init__(self, wire: str, key: Key, audience: Audience, view: dict[str, Any], reached: Reached, after: int | None,
                 said_epoch: int | None) -> None:
        self.wire, self.key, self.audience, self.view, self.reached, self.after = wire, key, audience, view, reached, after
        self.epoch: int = view["epoch"]
        self.said_epoch = self.epoch if said_epoch is None else said_epoch


class Watching:
    """All that a connection watches."""

    __slots__ = ("_behind", "_client", "_errands", "_fanout", "_history", "_over", "_owed", "_owed_bytes", "_prepared", "_receipts",
                 "_rooms", "_running", "_scope", "epoch", "watches")

    def __init__(self, client: Client, scope: Scope, rooms: Rooms, fanout: Fanout, history: History, receipts: Receipts, errands: Errands,
                 epoch: int) -> None:
        self._client, self._scope, self._rooms, self._receipts = client, scope, rooms, receipts
        self._fanout, self._history, self._errands, self.epoch = fanout, history, errands, epoch
        self.watches: dict[Key, Watch] = {}
        self._behind: deque[Watch] = NOTHING
        self._prepared: dict[Key, Audience] = {}  # looked at, and not begun yet
        self._running = self._over = False
        self._owed: Sequence[bytes] = ()  # frames that follow the reply that is being made
        self._owed_bytes = 0

    async def prepare(self, wire: str, key: Key, after: int | None, epoch: int | None) -> Watched:
        """Look at the conversation, and be counted among its audience. Raises Refused."""
        if found := self.prepare_now(wire, key, after, epoch):
            return found
        view = await self._rooms.view(self._scope, key.conversation, self._view(wire, after, epoch))
        audience = await self._fanout.watch(key, self._client)
        self._counted(key, audience)
        return Watched(wire, key, audience, view, NOBODYS if wire == "me" else await self._reached(key), after, epoch)

    def prepare_now(self, wire: str, key: Key, after: int | None, epoch: int | None) -> Watched | None:
        """The same in one step, if nothing has to be waited for: the room is here, awake, and knows how far its members have got."""
        view = self._rooms.view_now(self._scope, key.conversation, self._view(wire, after, epoch))
        if view is None:
            return None
        reached = NOBODYS if wire == "me" else self._receipts.shown_now(self._scope, key.conversation)
        if reached is None or (audience := self._fanout.watch_now(key, self._client)) is None:
            return None
        self._counted(key, audience)
        return Watched(wire, key, audience, view, reached, after, epoch)

    def _view(self, wire: str, after: int | None, epoch: int | None) -> View:
        return View("about", own=wire == "me", floor=after if after is not None and epoch in (None, self.epoch) else 0)

    def _counted(self, key: Key, audience: Audience) -> None:
        if key not in self.watches:
            self._prepared[key] = audience
            if self._over:
                self.close()

    async def _reached(self, key: Key) -> Reached:
        """How far its members have got. What passes from now on until the watch begins, the audience notes."""
        try:
            return await self._receipts.shown(self._scope, key.conversation)
        except BaseException:
            if (audience := self._prepared.pop(key, None)) is not None:
                self._fanout.leave(audience, self._client)
            raise

    def begin(self, found: Watched) -> dict[str, Any]:
        """Join, in the same step as the reply is made: *watched*. Raises Refused when reading has ended in between."""
        audience = found.audience
        self._prepared.pop(found.key, None)
        if audience.ended_after(self._scope.user, found.view["head"]["seq"]):
            self._fanout.leave(audience, self._client)
            raise Refused("not_found", "There is no such conversation.", field="c")
        told: dict[str, Any] = {"head": audience.last, "epoch": found.epoch, **found.reached}
        audience.begin(self._client, told)
        watch = self.watches.get(found.key)
        if watch is None:
            audience.watchers[self._client] = found.view["head"]["seq"]
            watch = self.watches[found.key] = Watch(found.wire, audience, audience.last)
            return told | self._enter(watch, found)
        return told | _of_another_epoch(found, audience.last)

    def leave(self, key: Key) -> None:
        """Watch no more."""
        watch = self.watches.pop(key, None)
        if watch is not None:
            watch.over = True
            self._fanout.leave(watch.audience, self._client)

    def close(self) -> None:
        """The connection has ended."""
        self._over = True
        for key in list(self.watches):
            self.leave(key)
        while self._prepared:
            self._fanout.leave(self._prepared.popitem()[1], self._client)

    def moved_heads(self) -> dict[str, int]:
        """The heads that moved since they were told last."""
        heads = {}
        for watch in self.watches.values():
            if watch.audience.last > watch.head_told:
                heads[watch.wire] = watch.head_told = watch.audience.last
        return heads

    def _enter(self, watch: Watch, found: Watched) -> dict[str, Any]:
        audience, after, floor = watch.audience, found.after, found.view["head"]["floor"][0]
        if after is None:
            self._fanout.join(audience, self._client, audience.last)
            return {}
        if lost := _of_another_epoch(found, audience.last):
            self._fanout.join(audience, self._client, audience.last)
            return lost
        gap = {"gap": {"from": after + 1, "to": floor}} if after < floor else {}
        watch.last = max(after, floor)
        if watch.last >= audience.last:
            self._fanout.join(audience, self._client, watch.last)
            return gap
        said = {"from": watch.last + 1, "to": audience.last, **gap}
        if self._owes(watch):
            self._fanout.join(audience, self._client, audience.last)
            return said
        audience.wait(self._client)
        self._behind = begun(self._behind)
        self._behind.append(watch)
        self._catch_up()
        return said

    def _owes(self, watch: Watch) -> bool:
        """Whether all that was missed is at hand, and little enough to follow the reply at once."""
        audience = watch.audience
        if self._client.text or audience.last - watch.last > AT_ONCE:
            return False
        missed = self._fanout.missed(audience, watch.last, AT_ONCE)
        size = sum(map(len, missed))
        if len(missed) < audience.last - watch.last or self._owed_bytes + size > AT_ONCE_BYTES:
            return False
        self._owed = [*self._owed, *missed]
        self._owed_bytes += size
        watch.last = audience.last
        return True

    def replied(self) -> None:
        """The reply has been sent: what it promised follows in the same step, before anything that comes later."""
        owed, self._owed, self._owed_bytes = self._owed, (), 0
        for wire in owed:
            self._client.send_frames(wire)

    def _catch_up(self) -> None:
        if not self._running:
            self._running = True
            self._errands.run_soon(self._run, self._ran, 24 * 3600.0)

    def _ran(self, _: Any, error: Exception | None) -> None:
        self._running = False
        if self._behind and not self._client.closed:
            self._errands.run_soon(partial(trio.sleep, AGAIN_S), lambda _, failed: self._catch_up(), 10.0)

    async def _run(self) -> None:
        """Page by page, in turn between conversations, no faster than the socket drains."""
        while self._behind and not self._client.closed:
            watch = self._behind[0]
            if not watch.over and not await self._page(watch):
                self._behind.rotate(-1)
                await self._client.wait_drained()
            else:
                self._behind.remove(watch)

    async def _page(self, watch: Watch) -> bool:
        """Send one page; True when the watch is live (or over)."""
        if not self._client.text and (missed := self._fanout.missed(watch.audience, watch.last, PAGE)):
            for wire in missed:
                self._client.send_frames(wire)
            return self._caught_up(watch, watch.last + len(missed))
        if await self._fanout.wait_filled(watch.audience, watch.last):
            return False  # somebody else was reading just this
        try:
            with self._fanout.filling(watch.audience) as fill:
                passage = await self._history.after(self._scope, watch.audience.key.conversation, watch.last, PAGE, own=watch.wire == "me")
                pushes = await self._history.pushes(self._scope, passage.rows, "me" if watch.wire == "me" else "", passage.view)
                fill(pushes)
        except Refused as refused:
            return await self._refused(watch, refused)
        if watch.over or self._client.closed:
            return True
        for push in pushes:
            self._client.send(push)
        return self._caught_up(watch, pushes[-1]["s"] if pushes else watch.last)

    def _caught_up(self, watch: Watch, last: int) -> bool:
        watch.last = last
        if last < watch.audience.last:
            return False
        self._fanout.join(watch.audience, self._client, watch.last)
        return True

    async def _refused(self, watch: Watch, refused: Refused) -> bool:
        if refused.retryable:
            await trio.sleep(AGAIN_S)
            return False
        self.leave(watch.audience.key)
        return True


def watched_reply(found: Watched, told: dict[str, Any]) -> dict[str, Any]:
    """The reply to `conversation.watch`."""
    return {**about(found.key.conversation, found.view), **told}


def _of_another_epoch(found: Watched, head: int) -> dict[str, Any]:
    """All is a gap to whoever says a seq of another epoch."""
    return {"gap": {"from": 1, "to": head}} if found.after is not None and found.said_epoch != found.epoch else {}
