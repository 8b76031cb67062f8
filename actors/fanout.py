"""Fan-out: from one conversation's room to every connection here that watches it. Encoded once, the same bytes to everybody.

An *audience* is this worker's share of a conversation's listeners. It follows the room (here or on another worker) by seq: it passes
on what comes next, drops what it had, and fetches what it lacks; so neither a lost link nor a new owner loses or doubles anything.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import trio

from actors.audience import Audience, Gather, Listener, OneByOne, Outlet
from actors.granting import Granting
from actors.house import Errands
from actors.keys import Key
from actors.router import Router
from protocol.codec import pack, write
from protocol.errors import Refused
from services.history import History
from services.kinds import Touched
from services.ready import MOST_ENTRIES, Ready
from services.scope import Scope

_log = logging.getLogger("actors.fanout")
_unpack = msgspec.msgpack.Decoder().decode

PAGE = 200
AGAIN_S = 0.5
MOST_EARLY = 10_000
CROWD = 32
"""So many listeners are handed a push together; to fewer it goes one after the other."""

Frame = Callable[[bytes, bool], bytes]
"""From a payload, and whether it is text, to the whole frame."""


class Fanout:
    """All audiences of a worker."""

    def __init__(self, router: Router, history: History, errands: Errands, frame: Frame, ready: Ready, gather: Gather = OneByOne) -> None:
        self._router, self._history, self._errands, self._frame = router, history, errands, frame
        self._ready, self._gather = ready, gather
        self._audiences: dict[Key, Audience] = {}
        self._granting = Granting(router, errands, frame)
        self.deliveries = 0

    def __len__(self) -> int:
        return len(self._audiences)

    async def watch(self, key: Key, listener: Listener) -> Audience:
        """The conversation's audience, following its room. The listener counts from now on, but gets nothing until it joins."""
        audience = self._audiences.get(key)
        if audience is None:
            audience = self._audiences[key] = Audience(key)
        audience.watchers.setdefault(listener, 0)
        if audience.following or self._follow_now(audience):
            return audience
        if audience.ready is None:
            audience.ready = trio.Event()
            self._follow(audience)
        with trio.move_on_after(10):
            await audience.ready.wait()
        if not audience.following:
            self.leave(audience, listener)
            raise Refused("unavailable", "The conversation cannot be followed right now: try again.")
        return audience

    def watch_now(self, key: Key, listener: Listener) -> Audience | None:
        """As watch, if nothing has to be waited for; else nothing has happened."""
        audience = self._audiences.get(key)
        if audience is None:
            audience = self._audiences[key] = Audience(key)
        new = listener not in audience.watchers
        audience.watchers.setdefault(listener, 0)
        if audience.following or self._follow_now(audience):
            return audience
        if new:
            self.leave(audience, listener)
        return None

    def join(self, audience: Audience, listener: Listener, last: int) -> None:
        """The listener has been sent everything up to `last`, and its reply said what it may do; from now on it is live."""
        audience.join(listener, last)
        if audience.rights_after(listener.user, audience.watchers.get(listener, 0)):
            self._granting.concern(audience, (listener.user,))

    def leave(self, audience: Audience, listener: Listener) -> None:
        """The listener watches no more; the last one out ends the audience."""
        for books in (audience.watchers, audience.live, audience.ahead, audience.behind or {}):
            books.pop(listener, None)
        audience.crowd = None
        if not audience.watchers and self._audiences.get(audience.key) is audience:
            del self._audiences[audience.key]
            self._ready.forget(audience.key)
            self._router.unlisten(audience.key)

    def missed(self, audience: Audience, after: int, most: int) -> list[bytes]:
        """What the audience was told after a seq, `most` at most, as frames: as far as it is kept, maybe nothing."""
        return [self._frame(push, False) for push in self._ready.after(audience.key, after, audience.last, most)]

    async def wait_filled(self, audience: Audience, after: int) -> bool:
        """Whether somebody was reading the latest of it from storage, and what comes after this seq is among them: by now it is kept."""
        if audience.filled is None or audience.last - after > MOST_ENTRIES:
            return False
        await audience.filled.wait()
        return bool(self._ready.after(audience.key, after, audience.last, 1))

    @contextmanager
    def filling(self, audience: Audience) -> Iterator[Callable[[Sequence[dict[str, Any]]], None]]:
        """Read from storage within this; what was read is kept for others."""
        mine = audience.filled = audience.filled or trio.Event()
        dropped = self._ready.dropped

        def fill(pushes: Sequence[dict[str, Any]]) -> None:
            if pushes and self._audiences.get(audience.key) is audience:
                self._ready.fill(audience.key, pushes[0]["s"], [pack(push) for push in pushes], dropped)

        try:
            yield fill
        finally:
            mine.set()
            if audience.filled is mine:
                audience.filled = None

    def take(self, key: Key, seq: int, push: bytes, touched: Touched) -> None:
        """A push from the room."""
        audience = self._audiences.get(key)
        if audience is None:
            self._router.unlisten(key)  # the room has not heard that nobody listens here any more
            return
        if seq <= audience.last:
            return
        if audience.following and seq == audience.last + 1:
            self._pass_on(audience, seq, push, touched)
            return
        if len(audience.early) < MOST_EARLY:
            audience.early[seq] = (push, touched)
        if audience.following:
            self.refollow(key)

    def emit(self, key: Key, push: bytes, but: str) -> None:
        """Something ephemeral, for all who watch; not for the connection called `but`."""
        audience = self._audiences.get(key)
        if audience is None:
            return
        if audience.preparing:
            audience.note(push)
        wire, twin = self._frame(push, False), b""
        for listener in (*audience.live, *audience.ahead, *(audience.behind or ())):
            if listener.name == but:
                continue
            if listener.text:
                twin = twin or self._frame(write(_unpack(push)), True)
            listener.send_frames(twin if listener.text else wire)

    def refollow(self, key: Key) -> None:
        """The room may have moved, or something was missed: listen anew, from what was passed on last."""
        audience = self._audiences.get(key)
        if audience is not None and audience.following:
            audience.following, audience.ready = False, trio.Event()
            self._follow(audience)

    def refollow_where(self, concerned: Callable[[Key], bool]) -> None:
        """As refollow, for all conversations that are concerned."""
        for key in [key for key in self._audiences if concerned(key)]:
            self.refollow(key)

    def lags(self, key: Key, head: int) -> None:
        """The room knows that something was not told."""
        audience = self._audiences.get(key)
        if audience is not None and audience.last < head:
            self.refollow(key)

    def _follow_now(self, audience: Audience) -> bool:
        """Have a new audience follow its room, if that is here and answers at once."""
        if audience.ready is not None or audience.last or audience.live:
            return False
        try:
            head = self._router.listen_now(audience.key)
        except Refused:  # whoever follows with more patience is told of it
            return False
        if head is None:
            return False
        audience.last = head
        self._made_good(audience, None)
        return True

    def _follow(self, audience: Audience) -> None:
        self._errands.run_soon(lambda: self._make_good(audience), lambda _, error: self._made_good(audience, error), 60.0)

    async def _make_good(self, audience: Audience) -> None:
        head = await self._router.listen(audience.key)
        if not audience.last and not audience.live:
            audience.last = head
        while audience.last < head and audience.watchers:
            scope = Scope(audience.key.tenant)
            passage = await self._history.after(scope, audience.key.conversation, audience.last, PAGE, own=True)
            for push, touched in await self._history.told(scope, passage.rows, _shown_as(passage.view), passage.view):
                self._pass_on(audience, push["s"], pack(push), touched)
            if not passage.rows:
                break

    def _made_good(self, audience: Audience, error: Exception | None) -> None:
        if self._audiences.get(audience.key) is not audience:
            return
        if error is not None:
            if not isinstance(error, Refused):
                _log.warning("%s cannot be followed and is tried again: %r", audience.key, error)
            self._errands.run_soon(lambda: self._later(audience), lambda _, failed: self._made_good(audience, failed), 60.0)
            return
        audience.following = True
        while (early := audience.early.pop(audience.last + 1, None)) is not None:
            self._pass_on(audience, audience.last + 1, *early)
        audience.early = {seq: row for seq, row in audience.early.items() if seq > audience.last}
        if audience.ready is not None:
            audience.ready.set()
            audience.ready = None  # only who waits needs it
        if audience.early:
            self.refollow(audience.key)

    async def _later(self, audience: Audience) -> None:
        await trio.sleep(AGAIN_S)
        await self._make_good(audience)

    def _pass_on(self, audience: Audience, seq: int, push: bytes, touched: Touched) -> None:
        """The same bytes to every listener."""
        audience.last = seq
        self._ready.put(audience.key, seq, push)
        if len(audience.live) >= CROWD:
            self._tell_crowd(audience, push)
        else:
            self._tell_each(audience, push)
        self.deliveries += len(audience.live)
        if audience.ahead:
            for listener in [listener for listener, last in audience.ahead.items() if last <= seq]:
                del audience.ahead[listener]
                audience.live[listener] = None
                audience.crowd = None
        if touched.ended:
            self._end(audience, seq, touched)
        if touched.rights:
            audience.rights.update(dict.fromkeys(touched.rights, seq))
            self._granting.concern(audience, touched.rights)

    def _tell_each(self, audience: Audience, push: bytes) -> None:
        wire, twin = self._frame(push, False), b""
        for listener in audience.live:
            if listener.text:
                twin = twin or self._frame(write(_unpack(push)), True)
                listener.send_frames(twin)
            else:
                listener.send_frames(wire)

    def _tell_crowd(self, audience: Audience, push: bytes) -> None:
        """The hot path: what it costs for each listener is the crowd's affair."""
        if audience.crowd is None:
            binary, text = list[Outlet](), list[Outlet]()
            for listener in audience.live:
                (text if listener.text else binary).append(listener.outlet)
            audience.crowd = (self._gather(binary), OneByOne(text))
        binaries, texts = audience.crowd
        binaries.send_frames(self._frame(push, False))
        if texts:
            texts.send_frames(self._frame(write(_unpack(push)), True))

    def _end(self, audience: Audience, seq: int, touched: Touched) -> None:
        audience.ended.update(dict.fromkeys(touched.ended, seq))
        for listener in [listener for listener, since in audience.watchers.items() if since < seq and touched.ends(listener.user)]:
            listener.dismissed(audience.key)


def _shown_as(view: dict[str, Any]) -> str:
    return "" if view["head"]["type"] else "me"
