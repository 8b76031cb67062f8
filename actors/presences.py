"""Presence on a worker: which users have devices here, whose presence is watched here, and what passes between this and the rooms.

A user's personal room knows whether the user is there (actors/ephemeral/presence.py). This worker claims at that room that it has devices
of the user, and that it wants to hear of the user. Only what is told of presence comes here: never an entry of that conversation.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from actors.alarms import Alarms
from actors.claims import Claims
from actors.elsewhere import Elsewhere, Found
from actors.here import Here
from actors.keys import Key
from actors.onlookers import Listener, Onlooker, View, Watched
from actors.router import Links, Router
from protocol.codec import pack, write
from services.scope import Scope
from services.tenants import Tenants

ASK_WITHIN_S = 2.0

Frame = Callable[[bytes, bool], bytes]


class Presences:
    """All presence of a worker. Implements `services.presence.service.Lookout` and `actors.house.Presences`."""

    def __init__(self, me: str, router: Router, links: Links, alarms: Alarms, tenants: Tenants, frame: Frame, elsewhere: Elsewhere) -> None:
        self._me, self._links, self._alarms, self._tenants, self._frame = me, links, alarms, tenants, frame
        self.elsewhere = elsewhere
        self._members: Sequence[str] = (me,)
        self.here: Claims[Here] = Claims(router, alarms)
        self.watched: Claims[Watched] = Claims(router, alarms)

    # For connections.

    def came(self, scope: Scope) -> Here:
        """A user has one more connection here."""
        key = Key(scope.tenant, self._tenants.known(scope.tenant).personal(scope.user))
        here = self.here.find(key)
        if here is None:
            here = self.here.make(Here(key, scope, self._me, self._alarms, self.here.say, self.elsewhere.note))
        here.came()
        return here

    def watch(self, listener: Any, tenant: str, user: str, name: str) -> Watched:
        """Count a listener among those who watch a user (internal id, and the company's)."""
        key = Key(tenant, self._tenants.known(tenant).personal(user))
        watched = self.watched.find(key)
        if watched is None:
            watched = self.watched.make(Watched(key, user, name, self._me, self._tell))
        new = watched.over
        watched.watchers.setdefault(listener, False)
        if new:
            watched.forget()
            self.watched.say(watched)
        return watched

    def leave(self, listener: Any, watched: Watched) -> None:
        """And no more."""
        if watched.watchers.pop(listener, None) is not None and watched.over:
            self.watched.say(watched)

    async def look(self, scope: Scope, users: Mapping[str, str], barring: Collection[str]) -> list[View]:
        """How these users are (internal ids by the company's), as the scope sees it."""
        onlooker = Onlooker(object(), self)
        try:
            found = await onlooker.prepare(scope, users, barring)
            return [watched.item(scope.user) for watched in found]
        finally:
            onlooker.close()

    def _tell(self, listeners: Sequence[Listener], push: View) -> None:
        """Encoded once, the same bytes to everybody."""
        texts = {listener.text for listener in listeners}
        wire = {text: self._frame(write(push) if text else pack(push), text) for text in texts}
        for listener in listeners:
            listener.send_frames(wire[listener.text])

    # What the node brings.

    def members(self, workers: Sequence[str]) -> None:
        """The workers of the node are these."""
        self._members = workers

    def renew_where(self, concerned: Callable[[Key], bool]) -> None:
        """These rooms may be others now."""
        self.here.renew_where(concerned)
        self.watched.renew_where(concerned)

    def told(self, key: Key, views: Sequence[View]) -> None:
        """A room says how its user is; nothing: that it has ended."""
        if not views:
            self.here.renew(key)
            self.watched.renew(key)
        elif watched := self.watched.find(key):
            watched.take(*views)

    def barred(self, key: Key, viewer: str, barred: bool) -> None:
        """A user blocks somebody, or no longer."""
        if watched := self.watched.find(key):
            watched.bar(viewer, barred)

    def where(self, key: Key) -> bool | None:
        """Whether all devices of the user on this worker are idle; None when there are none."""
        here = self.here.find(key)
        return None if here is None or here.over else here.idle

    # For the rooms here.

    def say(self, worker: str, key: Key, views: Sequence[View]) -> None:
        """Tell a worker how the user of a room is; nothing: that the room has ended."""
        if worker == self._me:
            self.told(key, views)
        else:
            self._links.tell(worker, ["presence", *key, views])

    def bar(self, worker: str, key: Key, viewer: str, barred: bool) -> None:
        """Tell a worker that the user of a room blocks somebody, or no longer."""
        if worker == self._me:
            self.barred(key, viewer, barred)
        else:
            self._links.tell(worker, ["barred", *key, viewer, barred])

    def ask_all(self, key: Key, done: Callable[[Found | None], None]) -> None:
        """Ask all workers of the node, and of the others, whether they have devices of a user. `done` is told None when there is no saying."""
        asking = _Asking(len(self._members) + 1, done)
        self.elsewhere.ask(key, asking.found)
        for worker in self._members:
            if worker == self._me:
                asking.answered(worker, self.where(key), None)
            else:
                self._links.post(worker, ["where", *key], partial(asking.answered, worker), ASK_WITHIN_S)


class _Asking:
    """Answers that come one by one."""

    def __init__(self, left: int, done: Callable[[Found | None], None]) -> None:
        self._left, self._done, self._failed = left, done, False
        self._found: Found = {}

    def answered(self, worker: str, idle: Any, error: Exception | None) -> None:
        self.found(None if error is not None else {} if idle is None else {worker: bool(idle)})

    def found(self, found: Found | None) -> None:
        self._left -= 1
        self._failed = self._failed or found is None
        self._found.update(found or {})
        if not self._left:
            self._done(self._found if self._found or not self._failed else None)
