"""The WebSocket transport alone, for conformance and speed: sends back what it gets, at any path, in any subprotocol."""

import sys

import trio

from transport.door import UNLIMITED, Door
from transport.listener import Listener, open_sockets
from transport.websocket.connection import Connection
from transport.websocket.frames import TEXT, Event
from transport.websocket.hub import Hub
from transport.websocket.reader import MAX_FRAGMENTS, MAX_MESSAGE


class Echo:
    """A handler that answers each message with itself; who does not read is closed as slow."""

    def opened(self, connection: Connection) -> None:
        connection.admitted()

    def messages(self, connection: Connection, batch: list[Event]) -> None:
        send = connection.outbox.send
        for opcode, payload in batch:
            send(payload, text=opcode == TEXT)

    def closed(self, connection: Connection, code: int) -> None:
        pass


async def echo(port: int, max_message: int = MAX_MESSAGE, max_fragments: int = MAX_FRAGMENTS) -> None:
    """Serve on 127.0.0.1 until cancelled; prints `ready ws://...` on a line of its own. Port 0 picks one."""
    sockets = open_sockets("127.0.0.1", port)
    door = Door(UNLIMITED)
    hub = Hub(Echo(), door, max_message=max_message, max_fragments=max_fragments, spoken=None)
    async with trio.open_nursery() as nursery:
        await nursery.start(hub.run)
        await nursery.start(Listener(sockets, hub, door=door, path=None).run)
        sys.stdout.write(f"ready ws://127.0.0.1:{sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    trio.run(lambda: echo(*map(int, sys.argv[1:])))
