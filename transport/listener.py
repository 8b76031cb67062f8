"""The one port: looks at each connection's first bytes, keeps WebSockets for ourselves, and gives everything else to REST."""

import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import trio

from transport.door import Door
from transport.origins import EVERYBODY, Origins
from transport.proxied import NOBODY, BadHeader, Proxies, read_source
from transport.replay import ReplayStream, ReplayTLSStream
from transport.websocket.handshake import NOT_FOUND, Head, Refused, Upgrade, read_head, upgrade, whole_head
from transport.websocket.hub import Hub

HANDSHAKE_S: Final = 5.0
"""From accept to the end of the request head, TLS included."""

_BACKLOG = 4_096
_AT_ONCE = 16
"""Sockets taken in before others have a turn: some 2 ms."""
_ACCEPT_AGAIN_S = 0.1
_LINGER_S = 1.0
_RECEIVE = 4_096

_log = logging.getLogger("transport")

ServeHTTP = Callable[[ReplayStream], Awaitable[None]]
"""Serves one connection's requests until it ends; closes the stream."""


def open_sockets(host: str, port: int, *, shared: bool = True) -> list[socket.socket]:
    """Listening sockets for a host (all its addresses); port 0 picks one. `shared`: several processes may listen on it. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    with contextlib.ExitStack() as undo:
        for family, kind, number, _, address in found:
            if listeners and port == 0:
                break  # a second address would get another port
            listener = undo.enter_context(socket.socket(family, kind, number))
            _listen(listener, address, shared)
            listeners.append(listener)
        undo.pop_all()
    return listeners


def _listen(listener: socket.socket, address: object, shared: bool) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.setblocking(False)
    listener.bind(address)  # type: ignore[arg-type]  # as getaddrinfo gave it
    listener.listen(_BACKLOG)


class Listener:
    """Accepts until drained or cancelled. Needs the hub to be running."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        hub: Hub,
        serve_http: ServeHTTP | None = None,
        *,
        door: Door,
        path: str | None = "/ws",
        tls: ssl.SSLContext | None = None,
        origins: Origins = EVERYBODY,
        proxies: Proxies = NOBODY,
    ) -> None:
        """`serve_http` None: only WebSockets, anything else is refused. `path` None: WebSockets at any path. Closes the sockets when it ends.
        `proxies`: who speaks the PROXY protocol."""
        self._sockets = sockets
        self._hub = hub
        self._serve_http = serve_http
        self._door = door
        self._path = None if path is None else path.encode()
        self._tls = tls
        self._origins = origins
        self._proxies = proxies
        self._accepting = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, or until drained and the last request is answered."""
        async with trio.open_nursery() as nursery:
            with self._accepting:
                try:
                    async with trio.open_nursery() as accepting:
                        for listener in self._sockets:
                            accepting.start_soon(self._accept, listener, nursery)
                        task_status.started()
                finally:
                    for listener in self._sockets:
                        listener.close()

    def stop_accepting(self) -> None:
        """Close the port; connections live on. The first step of draining, before Hub.drain()."""
        self._accepting.cancel()

    async def _accept(self, listener: socket.socket, nursery: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                for _ in range(_AT_ONCE):
                    sock, address = listener.accept()
                    self._let_in(sock, address[0], nursery)
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except OSError as error:  # out of descriptors or memory: those of others may end meanwhile
                _log.error("cannot accept", exc_info=error)
                await trio.sleep(_ACCEPT_AGAIN_S)

    def _let_in(self, sock: socket.socket, address: str, nursery: trio.Nursery) -> None:
        if address in self._proxies:
            if self._door.enter_unnamed(sock.fileno()):
                nursery.start_soon(self._welcome_brought, sock, address)
            else:
                sock.close()
            return
        if not self._door.enter(address, sock.fileno(), trio.current_time()):
            sock.close()
            return
        said = b"" if self._tls is not None else self._said(sock)
        if not said or not self._adopted(sock, address, said):
            nursery.start_soon(self._welcome, sock, address, None, said)

    def _said(self, sock: socket.socket) -> bytes:
        """What has come already; of a client that is as quick as its network, all of its handshake."""
        sock.setblocking(False)
        try:
            return sock.recv(_RECEIVE)
        except OSError:  # nothing yet; or it is gone, as its task will see
            return b""

    def _adopted(self, sock: socket.socket, address: str, said: bytes) -> bool:
        """The common handshake, inline: it is for us, here as a whole, and good. Anything else takes the careful way."""
        head = whole_head(said, self._path)
        if head is None:
            return False
        try:
            accepted = upgrade(head.checked(), spoken=self._hub.spoken, origins=self._origins)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (Refused, OSError):
            return False
        try:
            self._hub.adopt(sock, accepted, address, head.rest)
        except Exception as error:  # noqa: BLE001 - one socket's life ends here, and the port stays open
            _log.error("connection failed", extra={"peer": address}, exc_info=error)
            self._door.left(address, newcomer=True)
            sock.close()
        return True

    async def _welcome_brought(self, sock: socket.socket, balancer: str) -> None:
        """The life of a socket that a balancer brings."""
        sock.setblocking(False)
        source: str | None = None
        named = False
        try:
            with trio.fail_after(HANDSHAKE_S):
                source = await read_source(partial(_exactly, sock))
            named = True
        except BadHeader as bad:
            _log.warning("%s, though it comes from one of `proxies`", bad, extra={"peer": balancer})
        except (OSError, trio.ClosedResourceError, trio.TooSlowError):
            _log.debug("ended before its PROXY header", extra={"peer": balancer})
        finally:
            if not named:
                self._door.left_unnamed()
                sock.close()
        if not named:
            return
        if self._door.named(source or balancer, trio.current_time()):
            await self._welcome(sock, source or balancer, source)
        else:
            sock.close()

    async def _welcome(self, sock: socket.socket, address: str, client: str | None = None, said: bytes = b"") -> None:
        """The life of one socket until it ends, or until the hub has it. `client`: whose it is, as a balancer has said; `said`: what has been
        read of it."""
        visit = _Visit(self._door, address, client)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await (self._greet(sock, visit, said) if self._tls is None else self._greet_tls(sock, self._tls, visit))
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            _log.debug("ended in its handshake", extra={"peer": address})
        except Exception as error:  # noqa: BLE001 - one socket's life ends here, and the port stays open
            _log.error("connection failed", extra={"peer": address}, exc_info=error)
        finally:
            if visit.over():
                sock.close()

    async def _greet(self, sock: socket.socket, visit: "_Visit", said: bytes) -> None:
        """A plain socket is read directly: the hub takes it as it is, and no bytes are asked for twice."""

        async def receive() -> bytes:
            nonlocal said
            if said:
                first, said = said, b""
                return first
            await trio.lowlevel.wait_readable(sock)
            return sock.recv(_RECEIVE)

        with trio.fail_after(HANDSHAKE_S):
            head = await read_head(receive, self._path)
        if head.is_ours:
            accepted = await self._judged(head, _plain_stream(sock))
            if accepted is not None:
                visit.is_kept = True
                self._hub.adopt(sock, accepted, visit.address, head.rest)
        else:
            await self._pass_on(ReplayStream(_plain_stream(sock), head.data, visit.client), visit)

    async def _greet_tls(self, sock: socket.socket, tls: ssl.SSLContext, visit: "_Visit") -> None:
        stream = trio.SSLStream(_plain_stream(sock), tls, server_side=True, https_compatible=True)

        async def receive() -> bytes:
            return bytes(await stream.receive_some(_RECEIVE))

        with trio.fail_after(HANDSHAKE_S):
            await stream.do_handshake()
            head = await read_head(receive, self._path)
        if head.is_ours:
            accepted = await self._judged(head, stream)
            if accepted is not None:
                visit.is_kept = True
                await self._hub.serve_stream(stream, accepted, visit.address, head.rest)
        else:
            await self._pass_on(ReplayTLSStream(stream, head.data, visit.client), visit)

    async def _judged(self, head: Head, stream: trio.abc.Stream) -> Upgrade | None:
        try:
            return upgrade(head.checked(), spoken=self._hub.spoken, origins=self._origins)
        except Refused as refused:
            await _answer_and_close(stream, refused.response)
            return None

    async def _pass_on(self, stream: ReplayStream, visit: "_Visit") -> None:
        visit.admitted()
        if self._serve_http is None:
            await _answer_and_close(stream, NOT_FOUND)
        else:
            await self._serve_http(stream)


class _Visit:
    """One socket's count at the door, until the hub has taken it over."""

    def __init__(self, door: Door, address: str, client: str | None) -> None:
        self.address = address
        self.client = client
        self.is_kept = False
        self._door = door
        self._newcomer = True

    def admitted(self) -> None:
        self._newcomer = False
        self._door.admitted(self.address)

    def over(self) -> bool:
        """Count it out, unless the hub now counts it."""
        if not self.is_kept:
            self._door.left(self.address, newcomer=self._newcomer)
        return not self.is_kept


async def _exactly(sock: socket.socket, count: int) -> bytes:
    """So many bytes, and none of what follows them."""
    data = b""
    while len(data) < count:
        await trio.lowlevel.wait_readable(sock)
        try:
            more = sock.recv(count - len(data))
        except BlockingIOError:
            continue
        if not more:
            raise ConnectionAbortedError("it ended in its PROXY header")
        data += more
    return data


def _plain_stream(sock: socket.socket) -> trio.SocketStream:
    return trio.SocketStream(trio.socket.from_stdlib_socket(sock))


async def _answer_and_close(stream: trio.abc.Stream, response: bytes) -> None:
    """Answer, then wait a moment for the peer to hang up: closing over unread bytes would reset the answer away."""
    with trio.move_on_after(_LINGER_S):
        await stream.send_all(response)
        if isinstance(stream, trio.abc.HalfCloseableStream):
            await stream.send_eof()
        while await stream.receive_some(_RECEIVE):
            pass
    await trio.aclose_forcefully(stream)
