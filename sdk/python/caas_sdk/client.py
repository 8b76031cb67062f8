"""The client that people hold: the core, in the hands of a runtime. One class for trio and asyncio alike.

What waits, waits for a flag of the runtime's; what opens sockets is the runtime's. Nothing else in here knows which of the two it is.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from inspect import isawaitable
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from caas_sdk import protocol
from caas_sdk.core.connection import State as ConnectionState
from caas_sdk.core.core import Core
from caas_sdk.core.outbox import Call
from caas_sdk.core.outputs import AskToken, Dial, HangUp, Send, Tell
from caas_sdk.core.room import Room
from caas_sdk.errors import Disconnected, TimedOut
from caas_sdk.verbs import Conversations, Messages, Presence, Typing, Users

_log = logging.getLogger("caas_sdk")

MOST_EVENTS = 10_000
"""Events that may wait for handlers. When there are more, nothing is read from the socket until there are fewer: the server then cuts a
reader that is too slow, and the client comes back and resumes."""
TOKEN_WITHIN_S = 30.0

Handler = Callable[[Any], Any]
Token = str | Callable[[], str | Awaitable[str]]
"""A token, or whatever gives a fresh one whenever it is asked: a function, or an async one."""


class SocketClosed(Exception):
    """The socket has closed, or could not be opened; `code` is the close code, where there was one."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(code)
        self.code = code


class Flag(Protocol):
    """Set once, for all who wait."""

    def set(self) -> object: ...

    def is_set(self) -> bool: ...

    async def wait(self) -> object: ...


class Socket(Protocol):
    """A WebSocket that is open. Its methods raise SocketClosed when it is not any more."""

    async def send(self, data: bytes) -> None: ...

    async def receive(self) -> bytes: ...

    async def close(self) -> None: ...


class Runtime(Protocol):
    """What trio and asyncio do differently."""

    def now(self) -> float:
        """Seconds of a steady clock."""
        ...

    def wall_ms(self) -> int:
        """Ms since 1970."""
        ...

    def flag(self) -> Flag:
        """A new flag."""
        ...

    def spawn(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> Callable[[], object]:
        """Begin something in the background; what cancels it."""
        ...

    async def wait(self, flag: Flag, seconds: float | None) -> bool:
        """Wait for a flag, at most so long. Whether it was set."""
        ...

    async def within(self, seconds: float, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do something, at most for so long. Raises TimeoutError."""
        ...

    def dial(self, url: str, heard: Callable[[], None]) -> AbstractAsyncContextManager[Socket]:
        """Open a WebSocket; `heard` is called for what is no frame of ours, where that can be known."""
        ...


class Client:
    """One user, connected until the block it was made for ends."""

    def __init__(self, runtime: Runtime, url: str, token: Token, *, chance: Callable[[], float], entropy: Callable[[int], bytes],
                 device: Mapping[str, str] | None = None, retries: int | None = None, timeout_s: float = 30.0) -> None:
        self.core = Core(now=runtime.now(), wall_ms=runtime.wall_ms(), chance=chance, entropy=entropy, device=device, retries=retries)
        self.timeout_s = timeout_s
        self.messages, self.conversations = Messages(self), Conversations(self)
        self.users, self.presence, self.typing = Users(self), Presence(self), Typing(self)
        self._runtime, self._url, self._token = runtime, socket_url(url), token
        self._handlers: dict[str, list[Handler]] = {}
        self._events: deque[tuple[Handler, Any]] = deque()
        self._eventful, self._drained, self._woken, self._moved = (runtime.flag() for _ in range(4))
        self._wakes_at: float | None = None
        self._outgoing: deque[bytes] = deque()
        self._writable = runtime.flag()
        self._socket: Socket | None = None
        self._hang_up: Callable[[], object] | None = None

    # --- what people use

    @property
    def state(self) -> ConnectionState:
        """`disconnected`, `connecting`, `connected`, `auth_failed` or `reconnecting`."""
        return self.core.connection.state

    @property
    def user_id(self) -> str:
        """Who one is."""
        return self.core.state.me

    @property
    def rooms(self) -> Mapping[str, Room]:
        """The conversations that are open."""
        return self.core.state.rooms

    def on(self, event: str, handler: Handler | None = None) -> Any:
        """Call a handler, plain or async, for every event of a name; without a handler, a decorator.

        `message` (a Message), any other push by its name on the wire (an Event), `state` (a StateChange), `changed` (a Changed),
        `failed` (a Message that was refused for good). Handlers run one after another; what one raises ends the client.
        """
        if handler is None:
            return lambda given: self.on(event, given)
        self._handlers.setdefault(protocol.canonical(event), []).append(handler)
        return handler

    def off(self, event: str, handler: Handler) -> None:
        """Call it no more."""
        self._handlers[protocol.canonical(event)].remove(handler)

    async def call(self, command: str, /, *, timeout_s: float | None = None, **p: Any) -> dict[str, Any]:
        """Any command of the protocol, by any of its names. Raises CaasError; TimedOut after `timeout_s` (the client's own by default)."""
        return await self.answer(self.begin(command, p), timeout_s)

    def begin(self, command: str, p: Mapping[str, Any]) -> Call:
        """Ask for something, and do not wait."""
        try:
            return self.core.request(command, p, self._runtime.now())
        finally:
            self.pump()

    async def answer(self, call: Call, timeout_s: float | None = None) -> dict[str, Any]:
        """Wait for what was asked. Whoever stops waiting takes it back where that is still possible, but for a message."""
        done = self._runtime.flag()

        def settled(_: Call) -> None:
            done.set()

        call.then(settled)
        timeout_s = self.timeout_s if timeout_s is None else timeout_s
        try:
            await self._runtime.wait(done, timeout_s)
        finally:
            if not call.done:
                self.core.give_up(call, TimedOut(call.command, timeout_s))
                self.pump()
        if not call.done:
            raise TimedOut(call.command, timeout_s)
        if call.error is not None:
            raise call.error
        return call.result

    async def connected(self, timeout_s: float | None = None) -> None:
        """Wait until there is a connection. Raises Disconnected when there will be none, TimedOut after a while."""
        try:
            await self.until(lambda: self.state not in ("connecting", "reconnecting"), timeout_s)
        except TimedOut as error:
            raise TimedOut(f"connect ({self.core.connection.reason or 'no answer'})", error.after_s) from None
        if not self.core.connection.up:
            raise Disconnected(self.core.connection.reason)

    async def until(self, predicate: Callable[[], object], timeout_s: float | None = None) -> None:
        """Wait until something is so of what this client knows, or its handlers have done:
        `until(lambda: client.presence.of("bob") == "online")`. Raises TimedOut."""
        timeout_s = self.timeout_s if timeout_s is None else timeout_s
        ends = self.now() + timeout_s
        while not predicate():
            if self._moved.is_set():
                self._moved = self._runtime.flag()
            if not await self._runtime.wait(self._moved, max(0.0, ends - self.now())) and not predicate():
                raise TimedOut("until", timeout_s)

    def connect(self) -> None:
        """Connect again after a logout, a failed authentication or the last try; while connected nothing happens."""
        self.core.connect(self.now())
        self.pump()

    def disconnect(self) -> None:
        """Log out. What waits has failed; `connect` begins anew."""
        self.core.disconnect(self.now())
        self.pump()

    def now(self) -> float:
        """The runtime's clock, in seconds."""
        return self._runtime.now()

    # --- how it runs

    def start(self) -> None:
        """Begin to live, in the background."""
        self._runtime.spawn(self._keep_time)
        self._runtime.spawn(self._handle)
        self.connect()

    async def leave(self) -> None:
        """Say goodbye, where anybody listens."""
        if self._socket is not None:
            with suppress(TimeoutError, SocketClosed):
                await self._runtime.within(1.0, self._socket.close)
        self.core.disconnect(self.now(), "closed")
        self.pump()

    def pump(self) -> None:
        """Do what the core wants by now. To be called after whatever was told to it."""
        while outputs := self.core.take_outputs():
            for output in outputs:
                if isinstance(output, Send):
                    self._outgoing.append(output.data)
                    self._writable.set()
                elif isinstance(output, Tell):
                    self._tell(output)
                elif isinstance(output, Dial):
                    self._hang_up = self._runtime.spawn(self._serve, output.socket)
                elif isinstance(output, HangUp):
                    self._drop()
                elif isinstance(output, AskToken):
                    self._runtime.spawn(self._ask_token)
        due = self.core.next_at(self.now())
        if due is not None and (self._wakes_at is None or due < self._wakes_at):
            self._woken.set()

    def _drop(self) -> None:
        self._outgoing.clear()
        if self._hang_up is not None:
            self._hang_up()
            self._hang_up = self._socket = None

    def _tell(self, told: Tell) -> None:
        self._moved.set()
        if told.name == "state":
            _log.debug("state %s %s", told.what.state, told.what.reason)
        for handler in self._handlers.get(told.name, ()):
            self._events.append((handler, told.what))
            self._eventful.set()

    async def _keep_time(self) -> None:
        while True:
            self._woken = self._runtime.flag()
            now = self.now()
            self._wakes_at = self.core.next_at(now)
            await self._runtime.wait(self._woken, None if self._wakes_at is None else max(0.0, self._wakes_at - now))
            self.core.tick(self.now())
            self.pump()

    async def _handle(self) -> None:
        while True:
            while self._events:
                handler, what = self._events.popleft()
                result = handler(what)
                if isawaitable(result):
                    await result
                self._moved.set()  # whoever waits `until` something is so may wait for what a handler does
                if len(self._events) == MOST_EVENTS // 2:
                    self._drained.set()
            self._drained.set()
            self._eventful = self._runtime.flag()
            await self._eventful.wait()

    async def _ask_token(self) -> None:
        try:
            token = await self._runtime.within(TOKEN_WITHIN_S, self._give_token)
        except Exception as error:  # noqa: BLE001 - the application's own code, which meets every trouble a network has: asked again later
            _log.warning("no token: %s: %s", type(error).__name__, error)
            self.core.token_failed(self.now())
        else:
            self.core.token(token, self.now())
        self.pump()

    async def _give_token(self) -> str:
        given = self._token if isinstance(self._token, str) else self._token()
        return given if isinstance(given, str) else await given

    async def _serve(self, number: int) -> None:
        """One socket, from its dialling to its end."""
        code: int | None = None
        stop_writing: Callable[[], object] | None = None
        try:
            async with self._runtime.dial(self._url, lambda: self.core.heard(number, self.now())) as socket:
                self._socket = socket
                self.core.opened(number, self.now())
                self.pump()
                stop_writing = self._runtime.spawn(self._write, socket)
                await self._read(number, socket)
        except SocketClosed as closed:
            code = closed.code
        finally:
            if stop_writing is not None:
                stop_writing()
        self.core.closed(number, code, self.now())
        self.pump()

    async def _read(self, number: int, socket: Socket) -> None:
        while True:
            data = await socket.receive()
            self.core.received(number, data, self.now())
            self.pump()
            while len(self._events) > MOST_EVENTS:
                self._drained = self._runtime.flag()
                await self._drained.wait()

    async def _write(self, socket: Socket) -> None:
        try:
            while True:
                while self._outgoing:
                    await socket.send(self._outgoing.popleft())
                self._writable = self._runtime.flag()
                await self._writable.wait()
        except SocketClosed:
            return  # whoever reads sees it, too


def socket_url(url: str) -> str:
    """Where the WebSocket is, from the server's address: `https://chat.example.com` is `wss://chat.example.com/ws`."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"{url!r} is no address of a server: it begins with http://, https://, ws:// or wss://")
    return urlunsplit((scheme, parts.netloc, parts.path if parts.path.strip("/") else "/ws", parts.query, ""))
