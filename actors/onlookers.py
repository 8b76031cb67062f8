"""Onlookers: connections of this worker that watch the presence of users."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import trio

from actors.keys import Key
from protocol import limits
from protocol.errors import Refused
from services.scope import Scope

WITHIN_S = 2.0
"""How long a reply waits for the rooms; who is not known by then is `unknown`, and told later."""
UNKNOWN_AFTER_S = 5.0
"""A room that cannot be reached for so long: nobody knows whether its user is there."""

View = dict[str, Any]
UNKNOWN: View = {"status": "unknown"}
BARRED: View = {"status": "offline"}
"""What those see whom the user blocks."""


class Listener(Protocol):
    """A connection, as presence sees it."""

    @property
    def text(self) -> bool: ...

    @property
    def user(self) -> str:
        """Internal id."""
        ...

    def send_frames(self, wire: bytes) -> None: ...


Tell = Callable[[Sequence[Listener], View], None]
"""Send a push to several."""


class Watched:
    """A user whom somebody here watches: a claim (actors/claims.py) at the user's personal room.

    Those to be told of changes are True in `watchers`; the others await their reply.
    """

    __slots__ = ("_barred", "_others", "_own", "_tell", "answered", "key", "name", "number", "unheard_since", "user", "watchers", "worker")

    def __init__(self, key: Key, user: str, name: str, worker: str, tell: Tell) -> None:
        self.key, self.user, self.name, self.worker, self._tell = key, user, name, worker, tell
        self.watchers: dict[Any, bool] = {}
        self.number, self.unheard_since = 0, 0.0
        self._others, self._own, self.answered = View(), View(), trio.Event()
        self._barred: frozenset[str] = frozenset()

    @property
    def scope(self) -> Scope:
        """Nobody in particular: the room tells what each may see."""
        return Scope(self.key.tenant)

    @property
    def over(self) -> bool:
        """Whether nobody watches any more."""
        return not self.watchers

    def word(self) -> tuple[str, View]:
        """That this worker wants to hear of the user, and what it heard last; or not any more."""
        if self.over:
            return "presence.unwatch", {"worker": self.worker}
        return "presence.watch", {"worker": self.worker, "seen": self._own.get("status", "")}

    def heard(self, answer: Sequence[View]) -> None:
        """How it is now."""
        self.take(*answer)

    def unheard(self, seconds: float) -> None:
        """The room cannot be asked."""
        if seconds >= UNKNOWN_AFTER_S:
            self.take(UNKNOWN, UNKNOWN)

    def forget(self) -> None:
        """What was heard is of before."""
        self._others, self._own, self.answered = View(), View(), trio.Event()

    def item(self, user: str) -> View:
        """What a user (internal id; empty: the application) sees of it."""
        view = self._own if user == self.user else BARRED if user in self._barred else self._others
        return {"user": self.name, **(view or UNKNOWN)}

    def bar(self, viewer: str, barred: bool) -> None:
        """The user blocks somebody, or no longer, who may be watching."""
        if (viewer in self._barred) != barred:
            self._barred = self._barred ^ {viewer}
            if self._others and self._others["status"] != "offline":
                self._push([listener for listener, live in self.watchers.items() if live and listener.user == viewer], self.item(viewer))

    def take(self, others: View, own: View) -> None:
        """How it is now; whoever sees a difference is told."""
        before, self._others, self._own = (self._others, self._own), others, own
        self.answered.set()
        live = [listener for listener, live in self.watchers.items() if live]
        if others != before[0]:
            blind = {self.user, *self._barred}
            self._push([listener for listener in live if listener.user not in blind], {"user": self.name, **others})
        if own != before[1]:
            self._push([listener for listener in live if listener.user == self.user], {"user": self.name, **own})

    def _push(self, listeners: Sequence[Listener], item: View) -> None:
        if listeners:
            self._tell(listeners, {"t": "presence.changed", "p": item})


class Watches(Protocol):
    """What makes and ends them for all connections of the worker."""

    def watch(self, listener: Any, tenant: str, user: str, name: str) -> Watched: ...

    def leave(self, listener: Any, watched: Watched) -> None: ...


class Onlooker:
    """All users whose presence one connection watches, by the company's ids."""

    __slots__ = ("_listener", "_over", "_watches", "watched")

    def __init__(self, listener: Any, watches: Watches) -> None:
        self._listener, self._watches, self._over = listener, watches, False
        self.watched: dict[str, Watched] = {}

    async def prepare(self, scope: Scope, users: Mapping[str, str], barring: Collection[str]) -> Sequence[Watched]:
        """Begin to watch these (internal ids by the company's), and find out how they are; nothing is told before `begin`. `barring`:
        those who block the one who looks."""
        count = len(self.watched.keys() | users.keys())
        if count > limits.PRESENCE:
            raise Refused("too_many", f"A connection watches the presence of {limits.PRESENCE} users at most: end some with `presence.unwatch`.",
                          limit=("presence", limits.PRESENCE, count))
        found = [self._watched(scope.tenant, user, name) for name, user in users.items()]
        for watched in found:
            if watched.user in barring:  # storage may not have the latest: that somebody blocks no longer, the room tells
                watched.bar(scope.user, True)
        with trio.move_on_after(WITHIN_S):
            for watched in found:
                await watched.answered.wait()
        return found

    def begin(self, found: Iterable[Watched]) -> list[View]:
        """How they are, for the reply; from now on the connection is told when that changes."""
        items = []
        for watched in found:
            if not self._over:
                watched.watchers[self._listener] = True
            items.append(watched.item(self._listener.user))
        return items

    def leave(self, users: Iterable[str]) -> None:
        """Watch these no more."""
        for name in users:
            if watched := self.watched.pop(name, None):
                self._watches.leave(self._listener, watched)

    def close(self) -> None:
        """The connection has ended."""
        self._over = True
        self.leave(list(self.watched))

    def _watched(self, tenant: str, user: str, name: str) -> Watched:
        watched = self.watched.get(name)
        if watched is None:
            watched = self._watches.watch(self._listener, tenant, user, name)
            self.watched[name] = watched
        return watched
