"""All connections of a worker: an actor for each socket, woken by what the client sends; beats, revocations and draining."""

import logging
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any, Protocol

import trio

from actors.connection import Connection
from actors.standing import Closed, Desk, Expired, Frames, Message, NoHello, Opened, Revoke, Socket, Tick
from protocol.limits import HEADS_EVERY_S, HELLO_WITHIN_S
from services.scope import Scope
from supervisor import Actor, ActorStopped, Directory, MailboxFull, Ref, Supervisor

_log = logging.getLogger("actors.connections")

BEAT_S = 0.5


class Held(Socket, Protocol):
    """A socket as the transport keeps it; `state` is ours."""

    state: Any

    @property
    def id(self) -> int: ...


class Connections:
    """The transport's handler: its calls do not wait."""

    def __init__(self, desk: Desk, supervisor: Supervisor, worker: str) -> None:
        self._desk, self._worker = desk, worker
        self._sockets: dict[str, Held] = {}
        self._live: dict[str, Connection] = {}
        self._strangers: deque[tuple[float, str]] = deque()
        self._beats: list[dict[str, None]] = [{} for _ in range(int(HEADS_EVERY_S / BEAT_S))]  # who came in on which beat
        self._now = 0
        self._changes, self._earliest = -1, inf  # when the first token runs out (ms), as of that many changes
        self.directory: Directory[Message] = Directory(supervisor, "connections", self._make)

    def __len__(self) -> int:
        return len(self._live)

    # What the transport calls.

    def opened(self, connection: Held) -> Ref[Message] | None:
        """A socket is open: it has an actor from now on."""
        name = f"{self._worker}-{connection.id}"
        if connection.subprotocol is None:
            connection.outbox.close(4504, "protocol")
            return None
        self._sockets[name] = connection
        self._strangers.append((trio.current_time() + HELLO_WITHIN_S, name))
        self._beats[self._now][name] = None
        self.directory.send_nowait(name, Opened())
        return self.directory.find(name)

    def messages(self, connection: Held, batch: list[tuple[int, bytes]]) -> None:
        """What one read brought."""
        ref: Ref[Message] | None = connection.state
        if ref is None:
            return
        try:
            ref.send_first(Frames(batch))
        except MailboxFull:
            connection.outbox.close(4429, "too_many")
        except ActorStopped:
            return  # it has just ended; its socket is being closed

    def closed(self, connection: Held, code: int) -> None:
        """No more comes."""
        name = f"{self._worker}-{connection.id}"
        if self._sockets.pop(name, None) is not None:
            self._tell(name, Closed())
            self._live.pop(name, None)

    # What the worker calls.

    def revoke(self, ended: Callable[[Scope], bool], reason: str) -> None:
        """What some stand on has ended: say so, and close."""
        for name, connection in list(self._live.items()):
            if connection.scope is not None and ended(connection.scope):
                self._tell(name, Revoke(reason))

    @property
    def changes(self) -> int:
        """While this is the same, `scopes` is."""
        return self._desk.addressees.changes

    def scopes(self) -> list[Scope]:
        """Who is connected here: one for each connection that has said hello."""
        return [connection.scope for connection in self._live.values() if connection.scope is not None]

    async def beat(self) -> None:
        """Close who does not say hello or whose token has run out; tell heads, to each connection 25 s after it came and so on."""
        while True:
            await trio.sleep(BEAT_S)
            self._now = (self._now + 1) % len(self._beats)
            now = trio.current_time()
            while self._strangers and self._strangers[0][0] <= now:
                self._tell(self._strangers.popleft()[1], NoHello())
            self._tell_expired(self._desk.greeter.now_ms())
            self._tell_heads()

    def _tell_expired(self, now_ms: int) -> None:
        """Those whose token has run out. All are looked at when the first may have, or when somebody came or went."""
        if self._changes != self.changes:
            self._changes = self.changes
            self._earliest = min((connection.expires_at for connection in self._live.values() if connection.expires_at), default=inf)
        if now_ms >= self._earliest:
            for name in [name for name, connection in self._live.items() if 0 < connection.expires_at <= now_ms]:
                self._tell(name, Expired())

    def _tell_heads(self) -> None:
        beat = self._beats[self._now]
        for name in list(beat):
            if name in self._live:
                self._tell(name, Tick())
            else:
                del beat[name]

    def _make(self, name: str) -> Actor[Message]:
        connection = self._live[name] = Connection(self._desk, self._sockets[name], name)
        return connection

    def _tell(self, name: str, message: Message) -> None:
        ref = self.directory.find(name)
        if ref is None:
            return
        try:
            ref.send_nowait(message)
        except MailboxFull:
            self._sockets[name].outbox.close(4429, "too_many")
        except ActorStopped:
            return
