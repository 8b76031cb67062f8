"""Hello: who it is, their personal conversation, and what they resume, all of it at once and answered in one step."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

import trio
from msgspec import UNSET

from actors.fanout import Fanout
from actors.house import Errands
from actors.keys import Key
from actors.watching import Client, Watched, Watching
from protocol import limits
from protocol.errors import Refused, too_large
from protocol.ids import is_conversation_id
from protocol.world import Clock
from services.acts import Rooms
from services.hello import Hello, Seen
from services.history import History
from services.receipts.service import Receipts
from services.scope import Scope
from services.tenants import Tenant, Tenants

AT_ONCE = 32
"""Conversations that are looked at before others have a turn: some 2 ms."""


class Authenticated(Protocol):
    """What a token was found to say."""

    @property
    def scope(self) -> Scope: ...

    @property
    def expires_at(self) -> int: ...


class Greeting(NamedTuple):
    """A hello that was found good. `begin` joins everything and makes the reply, in one step."""

    scope: Scope
    expires_at: int
    watching: Watching
    begin: Callable[[], dict[str, Any]]


class Greeter:
    """Says hello for the connections of a worker."""

    def __init__(self, *, authenticate: Callable[[str], Awaitable[Authenticated]], user: Callable[[Scope], Awaitable[dict[str, Any]]],
                 enter: Callable[[Scope], Awaitable[None]], leave: Callable[[Scope], None], rooms: Rooms, fanout: Fanout, history: History,
                 receipts: Receipts, errands: Errands, tenants: Tenants, clock: Clock, epoch: int) -> None:
        self.authenticate, self._user, self._rooms, self._fanout = authenticate, user, rooms, fanout
        self._enter, self.leave = enter, leave
        self._receipts = receipts
        self._history, self._errands, self._tenants, self._clock, self._epoch = history, errands, tenants, clock, epoch

    def now_ms(self) -> int:
        """The time by which tokens expire."""
        return self._clock.now_ms()

    async def greet(self, client: Client, p: Hello) -> Greeting:
        """Find out who it is and what they resume. Raises Refused."""
        resume: Mapping[str, Seen] = {} if p.resume is UNSET else p.resume
        if len(resume) > limits.RESUME:
            raise too_large("resume", limits.RESUME, len(resume), "resume")
        known = await self.authenticate(p.token)
        scope = known.scope
        tenant = await self._tenants.ready(scope.tenant)
        await self._enter(scope)
        watching = Watching(client, scope, self._rooms, self._fanout, self._history, self._receipts, self._errands, self._epoch)
        try:
            greeting = await self._found(client, known, tenant, watching, resume)
            await self.authenticate(p.token)  # it may have ended meanwhile, and nobody knew of this connection yet
        except BaseException:
            watching.close()
            self.leave(scope)
            raise
        return greeting

    async def _found(self, client: Client, known: Authenticated, tenant: Tenant, watching: Watching, resume: Mapping[str, Seen]) -> Greeting:
        scope = known.scope
        seen = resume.get("me")
        me = await watching.prepare("me", Key(scope.tenant, tenant.personal(scope.user)), seen.seq if seen else None, seen.epoch if seen else None)
        user = await self._user(scope)
        found = await self._resumed(client, watching, scope, {name: one for name, one in resume.items() if name != "me"})

        def begin() -> dict[str, Any]:
            return {
                "protocol": "caas.v1", "session": scope.session, "user": user, "server_time": self._clock.now_ms(),
                "heartbeat_s": limits.HEARTBEAT_S, "limits": limits.LIMITS, "me": watching.begin(me),
                "conversations": {name: told(watching, one) for name, one in found.items()},
            }

        return Greeting(scope, known.expires_at, watching, begin)

    async def _resumed(self, client: Client, watching: Watching, scope: Scope, resume: Mapping[str, Seen]) -> dict[str, Watched | str | None]:
        """Each conversation: found, an error's code, or None when it takes longer (then it follows as a push)."""
        found: dict[str, Watched | str | None] = dict.fromkeys(resume)
        answered = trio.Event()
        late = Late(found, answered, client, watching)
        for number, (name, seen) in enumerate(resume.items(), 1):
            if not late.found_now(scope, name, seen):
                self._errands.run_soon(_preparing(watching, scope, name, seen), late.arrived(name), 30.0)
            if number % AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        if not late.complete:
            with trio.move_on_after(limits.RESUME_WITHIN_S):
                await answered.wait()
        late.replying = False
        return late.taken()


class Late:
    """Gathers what is resumed; what arrives after the reply is pushed as `conversation.watching`."""

    def __init__(self, found: dict[str, Watched | str | None], answered: trio.Event, client: Client, watching: Watching) -> None:
        self._found, self._answered, self._client, self._watching = found, answered, client, watching
        self._left = len(found)
        self.replying = True

    @property
    def complete(self) -> bool:
        """Whether nothing is awaited any more."""
        return not self._left

    def found_now(self, scope: Scope, name: str, seen: Seen) -> bool:
        """Look at one conversation, if that needs no waiting; whether it has been done."""
        try:
            found = self._watching.prepare_now(name, resumed(scope, name), seen.seq, seen.epoch)
        except Refused as refused:
            self.arrived(name)(None, refused)
            return True
        if found is not None:
            self.arrived(name)(found, None)
        return found is not None

    def arrived(self, name: str) -> Callable[[Any, Exception | None], None]:
        """What to call with the outcome for one conversation."""

        def done(found: Any, error: Exception | None) -> None:
            outcome = found if error is None else error.code if isinstance(error, Refused) else "unavailable"
            if self.replying:
                self._found[name] = outcome
                self._left -= 1
                if not self._left:
                    self._answered.set()
            elif not self._client.closed:
                self._client.send({"t": "conversation.watching", "c": name, "p": told(self._watching, outcome)})
                self._watching.replied()

        return done

    def taken(self) -> dict[str, Watched | str | None]:
        """What has arrived by now."""
        return dict(self._found)


def _preparing(watching: Watching, scope: Scope, name: str, seen: Seen) -> Callable[[], Awaitable[Watched]]:
    async def prepare() -> Watched:
        return await watching.prepare(name, resumed(scope, name), seen.seq, seen.epoch)

    return prepare


def resumed(scope: Scope, name: str) -> Key:
    """The conversation that is resumed. Raises Refused."""
    if not is_conversation_id(name):
        raise Refused("bad_request", "That is no conversation's id.", field=f"resume.{name}")
    return Key(scope.tenant, name)


def told(watching: Watching, found: Watched | str | None) -> dict[str, Any]:
    """One resumed conversation, as the reply or the push tells it."""
    if found is None:
        return {"later": True}
    if isinstance(found, str):
        return {"error": found}
    try:
        return watching.begin(found)
    except Refused as refused:
        return {"error": refused.code}
