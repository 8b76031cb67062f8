"""Streams that first give back what was read of them to see whose they are, and that wait for no peer for ever."""

import socket
from typing import Final

import trio

STALLED_S: Final = 10.0
"""A peer that takes nothing for so long is hung up on: Hypercorn itself waits without end, and shields that from whoever stops us."""

_RECORD = 16_384  # a piece for which STALLED_S is enough on any line worth having
_CLOSING_S = 5.0


class Brought:
    """What Hypercorn asks of a socket, for a client that a balancer has brought."""

    family: Final = socket.AF_INET  # it then takes the addresses as they are

    def __init__(self, own: trio.socket.SocketType, client: str) -> None:
        self._own, self._client = own, client

    def getpeername(self) -> tuple[str, int]:
        """The client's address; its port is not ours to know."""
        return self._client, 0

    def getsockname(self) -> tuple[str, int]:
        """Where it came in."""
        host, port, *_ = self._own.getsockname()
        return host, port


class ReplayStream(trio.abc.HalfCloseableStream):
    """A plain connection; `socket` is what Hypercorn asks for addresses."""

    def __init__(self, stream: trio.SocketStream, begun: bytes, client: str | None = None) -> None:
        """`client`: whose it is, when a balancer has brought it."""
        self._stream: trio.abc.Stream = stream
        self._begun = begun
        self.socket = stream.socket if client is None else Brought(stream.socket, client)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if not self._begun:
            return bytes(await self._stream.receive_some(max_bytes))
        await trio.lowlevel.checkpoint()
        size = len(self._begun) if max_bytes is None else max_bytes
        data, self._begun = self._begun[:size], self._begun[size:]
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        for start in range(0, len(data), _RECORD):
            with trio.move_on_after(STALLED_S) as scope:
                await self._stream.send_all(data[start : start + _RECORD])
            if scope.cancelled_caught:
                await trio.aclose_forcefully(self._stream)
                raise trio.BrokenResourceError("the peer takes nothing")

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        # Who ends an exchange early is cancelled in the middle of ending it, and would leave the socket open for ever.
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            with trio.CancelScope(shield=True):  # it does not wait
                await self._stream.send_eof()

    async def aclose(self) -> None:
        with trio.move_on_after(_CLOSING_S):  # TLS says goodbye, to whoever listens
            await self._stream.aclose()


class ReplayTLSStream(ReplayStream):
    """A TLS connection whose handshake is done, with the names by which Hypercorn knows TLS."""

    def __init__(self, stream: "trio.SSLStream[trio.SocketStream]", begun: bytes, client: str | None = None) -> None:
        super().__init__(stream.transport_stream, begun, client)
        self._stream = stream
        self.transport_stream = self  # Hypercorn looks there for the socket

    async def do_handshake(self) -> None:
        """Done before."""
        await trio.lowlevel.checkpoint()

    def selected_alpn_protocol(self) -> str:
        """HTTP/1.1: nothing else was offered."""
        return "http/1.1"
