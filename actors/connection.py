"""A connection: who it is, which command, in which order. It owns what its socket is sent and what it watches."""

import logging
from collections import deque
from collections.abc import Awaitable
from functools import partial
from typing import Any, ClassVar, cast
from zlib import crc32

import msgspec
import trio

from actors.dispatch import call, finish, make_params
from actors.here import Here
from actors.keys import Key
from actors.lanes import Lanes
from actors.lazily import NOTHING, begun
from actors.load import BUSY
from actors.looking import Looking
from actors.messages import Submit
from actors.onlookers import Onlooker
from actors.rates import Standing, TenantRates
from actors.refusing import explained
from actors.standing import Closed, Desk, Expired, Frames, Message, NoHello, Outbox, Revoke, Socket, Tick
from actors.watching import Watching
from protocol.closing import BAD_FRAME, GOING_AWAY, NO_HELLO, PROTOCOL, REVOKED, TOKEN_EXPIRED, TOKEN_INVALID, TOO_MANY, Closing
from protocol.codec import BadFrame, Command, decode_commands, pack, refuse_shape, write
from protocol.errors import Refused
from services.acts import Asked, Rooms, Verdict
from services.conversations.model import Named, Watch
from services.conversations.rules import check_conversation, check_users
from services.hello import Hello, RefreshToken
from services.presence.model import Of
from services.rates.model import READ
from services.scope import Scope
from supervisor import Actor, Exit

_log = logging.getLogger("actors.connection")

HOLD = 512
"""So many commands unanswered, and no more is read from the socket until half of them are: who pipelines is slowed down, not refused."""
MOST_OPEN = 2_048
"""Commands of one connection that may be unanswered, or wait for `hello` or for a bank; one read may bring more than there was room for."""
FLOOD, FLOOD_S = 1_000, 10.0
"""Commands refused for their rate within so many seconds: who goes on like that is not listening, and is closed with 4429."""
PATIENCE, REST_S = 20, 0.1
"""From so many of these on it is read only now and then, so many seconds apart or up to twice that: refusals that are said together cost a
fraction of those that come one by one, and those who keep to their rates feel less of it."""
WITHIN_S = 30.0
MOST_TYPED = 32
"""Conversations typed in that a connection remembers; in the others typing ends by itself."""
TEXT = 1
"""A text frame's opcode (RFC 6455, section 11.8)."""


class Connection(Actor[Message]):
    """One client's socket. It takes commands from `hello` on; what the client sends in one go is handled in one go."""

    __slots__ = ("_desk", "_early", "_flood", "_flood_began", "_greeting", "_here", "_lanes", "_onlooker", "_open", "_rates", "_requests", "_rests",
                 "_socket", "_typed", "_under_way", "_watching", "expires_at", "name", "scope", "text")

    mailbox: ClassVar[int] = 64

    def __init__(self, desk: Desk, socket: Socket, name: str) -> None:
        self._desk, self._socket, self.name = desk, socket, name
        self.text = socket.subprotocol == "caas.v1.json"
        self.scope: Scope | None = None
        self.expires_at = 0  # ms; 0 before hello
        self._greeting = False
        self._early: deque[Command] = NOTHING
        self._open: set[int] = set()
        self._under_way = 0  # commands that are carried out, or wait for their turn: those who want no answer are among them
        self._requests = 0
        self._lanes = Lanes(self._start)
        self._watching: Watching | None = None
        self._typed: dict[str, None] | None = None
        self._rates: TenantRates | None = None
        self._flood, self._flood_began = 0, 0.0
        self._rests = False  # it is not read for a moment, whatever has been answered
        self._here: Here | None = None
        self._onlooker: Onlooker | None = None

    @property
    def user(self) -> str:
        """Internal id; empty before hello."""
        return self.scope.user if self.scope else ""

    @property
    def closed(self) -> bool:
        """Whether nothing more is sent."""
        return self._socket.outbox.closed

    def receive(self, message: Message) -> object:
        """Frames, and what the worker tells it."""
        match message:
            case Frames():
                self._frames(message.frames)
            case NoHello():
                self._impatient()
            case Expired():
                self._expired()
            case Tick():
                self._tick()
            case Revoke():
                self.send({"t": "session.revoked", "p": {"reason": message.reason}})
                self.close(REVOKED)
            case Closed():
                self.ref.stop()
        return None

    async def stopped(self, exit: Exit) -> None:
        """Let go of what it watches."""
        if exit.error is not None:
            self.close(_FAILED)
        self._desk.load.dropped(*self._lanes.close(), self._tenant)
        if self._watching is not None and self.scope is not None:
            self._watching.close()
            self._desk.greeter.leave(self.scope)
            if self._here is not None:
                self._here.went()
            if self._onlooker is not None:
                self._onlooker.close()
            for conversation in self._typed or ():
                self._desk.router.hint(self.scope, conversation, "typing.stop", {})
            self._desk.addressees.leave(self.scope.tenant, self.scope.user, self)

    def _impatient(self) -> None:
        """`hello` has not come in time."""
        if self._watching is None and not self._greeting:
            self.close(NO_HELLO)

    # Sending.

    def send(self, frame: dict[str, Any]) -> None:
        """One reply or push."""
        self._socket.outbox.send((write if self.text else pack)(frame), text=self.text)

    @property
    def outlet(self) -> Outbox:
        """What it sends by."""
        return self._socket.outbox

    def send_frames(self, wire: bytes) -> None:
        """A push that fan-out has framed already."""
        self._socket.outbox.send_frames(wire)

    async def wait_drained(self) -> None:
        """Until the socket has taken most of what waits."""
        await self._socket.outbox.wait_drained()

    def close(self, closing: Closing) -> None:
        """Say goodbye."""
        self._socket.outbox.close(closing.code, closing.reason)

    def dismissed(self, key: Key) -> None:
        """Reading of this conversation has ended for this user."""
        if self._watching is not None:
            self._watching.leave(key)

    def watches(self, key: Key) -> bool:
        """Whether it watches a conversation."""
        return self._watching is not None and key in self._watching.watches

    # Receiving.

    def _frames(self, frames: list[tuple[int, bytes]]) -> None:
        for opcode, payload in frames:
            if self.closed:
                return None
            text = opcode == TEXT
            if text != self.text:
                return self.close(BAD_FRAME)
            try:
                commands = decode_commands(payload, text=text)
                self._check_ids(commands)
            except BadFrame:
                return self.close(BAD_FRAME)
            if self._here is not None:
                self._here.used()
            for command in commands:
                self._command(command)
        if self._under_way + len(self._early) >= HOLD:
            self._socket.pause()

    def _check_ids(self, commands: list[Command]) -> None:
        """An `i` that is still unanswered makes the whole frame bad: nothing of it takes effect."""
        for command in commands:
            if command.i in self._open:
                raise BadFrame("an `i` that is not answered yet")
            if command.i:
                self._open.add(command.i)

    def _command(self, command: Command) -> None:
        if self.closed:
            return
        if command.m == "hello":
            self._hello(command)
        elif self._watching is not None and not self._early:
            self._admit(command)
        elif self._watching is None and not self._greeting:
            self.refuse(command, Refused("not_authenticated", "The first command must be `hello`."))
            self.close(NO_HELLO)
        elif len(self._early) < MOST_OPEN:
            self._early = begun(self._early)
            self._early.append(command)
        else:
            self.refuse(command, Refused("too_many", "Too many commands wait already: wait for replies."))

    def _admit(self, command: Command) -> bool:
        """Run it, if its rate allows. False when a bank has to be waited for first; all that comes then comes behind it."""
        if self._rates is not None:
            rate = self._desk.classes.get(command.m, READ)
            standing = self._rates.ask(self.user, rate)
            if standing is Standing.WAIT:
                self._early = begun(self._early)
                self._early.appendleft(command)
                self._rates.when_known(self.user, rate, self._go_on)
                return False
            if standing is Standing.NO:
                self._held_back(command, self._rates.refusal(self.user, rate))
                return True
        self._run(command)
        return True

    def _go_on(self) -> None:
        """What waited may be carried out: `hello` is answered, or the bank has answered."""
        while self._early and not self.closed and self._admit(self._early.popleft()):
            pass
        self._read_on()

    @property
    def _tenant(self) -> str:
        return self.scope.tenant if self.scope is not None else ""

    def _read_on(self) -> None:
        """What was too much has been answered."""
        if self._socket.paused and not self._rests and self._under_way + len(self._early) <= HOLD // 2:
            self._socket.resume()

    def _rest(self) -> None:
        """Read no more for a moment; not all of them for the same, or they would all be read in one."""
        self._rests = True
        self._socket.pause()
        self._desk.alarms.after(REST_S * (1 + crc32(self.name.encode()) % 64 / 64), self._rested)

    def _rested(self) -> None:
        self._rests = False
        self._read_on()

    def _held_back(self, command: Command, refused: Refused) -> None:
        self.refuse(command, refused)
        now = trio.current_time()
        if now - self._flood_began > FLOOD_S:
            self._flood, self._flood_began = 0, now
        self._flood += 1
        if self._flood > FLOOD:
            self.close(TOO_MANY)
        elif self._flood > PATIENCE and not self._rests:
            self._rest()

    def _run(self, command: Command) -> None:
        if command.refusal is not None:
            return self.refuse(command, command.refusal)
        if command.m in self._desk.lasting and not self._desk.load.admits(self._tenant):
            return self.refuse(command, BUSY)
        if self._under_way >= MOST_OPEN:
            return self.refuse(command, Refused("too_many", "Too many commands are unanswered: wait for replies.",
                                                limit=("unanswered", MOST_OPEN, self._under_way + 1)))
        try:
            self._enter(command)
        except Refused as refused:
            self.refuse(command, refused)

    def _enter(self, command: Command) -> None:
        own = _OWN.get(command.m)
        if own is not None:
            params = _convert(command.p, own[0])
            return self._begin(command, cast(Awaitable[Any], own[1](self, command, params)))
        row = self._desk.table.get(command.m)
        if row is None or self.scope is None:
            raise Refused("unknown_command", f"There is no command `{command.m[:64]}`.", field="m")
        params = make_params(row, command.p)
        self._begin(command, call(row, self.scope, params))

    def _begin(self, command: Command, work: Asked | Awaitable[Any]) -> None:
        self._under_way += 1
        self._desk.load.entered(self._tenant if isinstance(work, Asked) else "")
        self._lanes.enter(_lane(command), command, work)

    def _start(self, lane: str, command: Command, work: Asked | Awaitable[Any]) -> None:
        """Its turn has come."""
        assert self.scope is not None
        if isinstance(work, Asked):
            self._desk.router.post(Key(self.scope.tenant, work.act.conversation), Submit(work.act), partial(self._decided, command, lane, work))
        elif isinstance(work, Looking) and (found := work.now()):
            self._done(command, lane, *found)
        elif not self._desk.errands.run(partial(_wait, work, self._desk.rooms, self.scope), partial(self._done, command, lane), WITHIN_S):
            self._done(command, lane, None, Refused("too_many", "The server is busy: try again."))

    def _decided(self, command: Command, lane: str, asked: Asked, verdict: Verdict | None, error: Exception | None) -> None:
        try:
            if verdict is None:
                self.refuse(command, error)
            else:
                self.reply(command, asked.answer(verdict))
        finally:
            self._left(lane, act=True)

    def _done(self, command: Command, lane: str, result: Any, error: Exception | None) -> None:
        try:
            if error is not None:
                self.refuse(command, error)
            elif result is not None:
                self._note_typing(command)
                self._say(command, result)
        finally:
            self._left(lane, act=False)

    def _left(self, lane: str, *, act: bool) -> None:
        self._under_way -= 1
        self._desk.load.left(self._tenant if act else "")
        self._lanes.leave(lane, act=act)
        self._read_on()

    def _note_typing(self, command: Command) -> None:
        """Remember the conversations typed in last: they are told when the connection ends."""
        if command.m != "typing.start":
            return
        typed = self._typed = self._typed or {}
        typed.pop(command.p["c"], None)
        typed[command.p["c"]] = None
        if len(typed) > MOST_TYPED:
            del typed[next(iter(typed))]

    def _say(self, command: Command, result: Any) -> None:
        """The reply; a function makes it, and what belongs to it, in this very step."""
        try:
            self.reply(command, result() if callable(result) else result)
            if callable(result) and self._watching is not None:
                self._watching.replied()
        except Refused as refused:
            self.refuse(command, refused)

    def reply(self, command: Command, r: dict[str, Any]) -> None:
        """Answer a command."""
        self._open.discard(command.i)
        if command.i and not self.closed:
            self.send({"i": command.i, "r": r})

    def refuse(self, command: Command, error: Exception | None) -> None:
        """Refuse a command."""
        self._open.discard(command.i)
        refused = None if error is None else explained(error)
        if refused is None:
            refused = Refused("internal")
            _log.error("%s failed in %s", command.m, self.name, exc_info=error)
        if command.i and not self.closed:
            self._requests += 1
            self.send({"i": command.i, "e": refused.to_wire(f"{self.name}-{self._requests}")})

    # Hello and tokens.

    def _hello(self, command: Command) -> None:
        if self._greeting or self._watching is not None:
            return self.refuse(command, command.refusal or Refused("bad_request", "`hello` was said already."))
        self._greeting = True
        if not self._desk.errands.run(partial(self._greet, command), partial(self._greeted, command), WITHIN_S):
            self._greeted(command, None, Refused("unavailable", "The server is busy: connect again in a moment."))

    async def _greet(self, command: Command) -> Any:
        if command.refusal is not None:
            raise command.refusal
        return await self._desk.greeter.greet(self, _convert(command.p, Hello))

    def _greeted(self, command: Command, greeting: Any, error: Exception | None) -> None:
        self._greeting = False
        if error is not None:
            self.refuse(command, error)
            return self.close(_closing_for(error))
        if self.closed:
            greeting.watching.close()
            self._desk.greeter.leave(greeting.scope)
            return None
        self._socket.admitted()
        self.scope, self.expires_at, self._watching = self._asking(greeting.scope), greeting.expires_at, greeting.watching
        if self._desk.rates is not None:
            self._rates = self._desk.rates.of(self.scope.tenant)
        self._desk.addressees.enter(self.scope.tenant, self.scope.user, self)
        self._here = self._desk.presences.came(self.scope)
        self.reply(command, greeting.begin())
        self._watching.replied()
        self._go_on()

    async def _refresh(self, command: Command, p: RefreshToken) -> dict[str, Any]:
        authenticated = await self._desk.greeter.authenticate(p.token)
        if self.scope is None or (authenticated.scope.tenant, authenticated.scope.user) != (self.scope.tenant, self.scope.user):
            raise Refused("token_invalid", "The token is of another user.", field="token")
        self.scope, self.expires_at = self._asking(authenticated.scope), authenticated.expires_at
        self._desk.addressees.changes += 1
        return {"expires_at": self.expires_at}

    def _asking(self, scope: Scope) -> Scope:
        return msgspec.structs.replace(scope, connection=self.name)

    def _tick(self) -> None:
        if self._watching is not None and not self.closed:
            self.send({"t": "heads", "p": {"epoch": self._desk.epoch, "conversations": self._watching.moved_heads()}})

    def _expired(self) -> None:
        if self._watching is not None and 0 < self.expires_at <= self._desk.greeter.now_ms():
            self.close(TOKEN_EXPIRED)

    # Watching.

    def _watch(self, command: Command, p: Watch) -> Looking:
        assert self._watching is not None
        return Looking(self._watching, p, self._key(p.c))

    async def _unwatch(self, command: Command, p: Named) -> Any:
        key = self._key(p.c)

        def leave() -> dict[str, Any]:
            if self._watching is not None and p.c != "me":
                self._watching.leave(key)
            return {}

        return leave

    async def _watch_presence(self, command: Command, p: Of) -> Any:
        assert self.scope is not None
        scope, service = self.scope, self._desk.presence
        users = await service.named(scope, p.users)
        barring = await service.barring(scope, users)
        if self._onlooker is None:
            self._onlooker = Onlooker(self, self._desk.presences)
        onlooker = self._onlooker
        found = await onlooker.prepare(scope, users, barring)
        return lambda: {"items": onlooker.begin(found)}

    async def _unwatch_presence(self, command: Command, p: Of) -> Any:
        check_users(p.users, "users")

        def leave() -> dict[str, Any]:
            if self._onlooker is not None:
                self._onlooker.leave(p.users)
            return {}

        return leave

    def _key(self, wire: str) -> Key:
        assert self.scope is not None
        if wire == "me":
            return Key(self.scope.tenant, self._desk.tenants.known(self.scope.tenant).personal(self.scope.user))
        check_conversation(wire)
        return Key(self.scope.tenant, wire)


_OWN: dict[str, tuple[type[msgspec.Struct], Any]] = {
    "token.refresh": (RefreshToken, Connection._refresh),
    "conversation.watch": (Watch, Connection._watch),
    "presence.watch": (Of, Connection._watch_presence),
    "presence.unwatch": (Of, Connection._unwatch_presence),
    "conversation.unwatch": (Named, Connection._unwatch),
}
"""Commands that only a connection can have."""


async def _wait(work: Awaitable[Any], rooms: Rooms, scope: Scope) -> Any:
    result = await work
    return result if callable(result) else await finish(rooms, scope, result)


def _convert(p: dict[str, Any], kind: type[Any]) -> Any:
    try:
        return msgspec.convert(p, kind, strict=True)
    except msgspec.ValidationError as error:
        raise refuse_shape(error) from error


def _lane(command: Command) -> str:
    """The conversation that a command speaks of; `conversation.create` names it by `id`. What is about users has a lane of its own, whose
    name no conversation can have."""
    name = command.p.get("id" if command.m == "conversation.create" else "c")
    return name if isinstance(name, str) else "/users" if command.m.startswith(("user.", "presence.")) else ""


def _closing_for(error: Exception) -> Closing:
    refused = explained(error) or Refused("internal")
    if refused.code == "internal":
        return _FAILED
    if refused.retryable and refused.code != "too_many":
        return GOING_AWAY  # nothing is wrong with the client: it may come again
    return {"token_expired": TOKEN_EXPIRED, "token_invalid": TOKEN_INVALID, "too_many": TOO_MANY}.get(refused.code, PROTOCOL)


_FAILED = Closing(1011, "internal")
"""Something is wrong with us: RFC 6455's code, at which a client comes again."""

