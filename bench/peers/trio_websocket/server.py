"""trio-websocket as its documentation shows it: what a client says goes to everybody on the same path, one await after the other."""

import logging
import sys
from collections import defaultdict

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

rooms: dict[str, set[WebSocketConnection]] = defaultdict(set)


async def serve(request: WebSocketRequest) -> None:
    """One connection."""
    one = await request.accept()
    room = rooms[request.path]
    room.add(one)
    try:
        while True:
            said = await one.get_message()
            for other in list(room):
                try:
                    await other.send_message(said)
                except ConnectionClosed:
                    room.discard(other)
    except ConnectionClosed:
        return
    finally:
        room.discard(one)


async def main() -> None:
    """Serve until stopped."""
    logging.disable(logging.CRITICAL)
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, serve, "127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0, None)
        print("ready", server.port, flush=True)


if __name__ == "__main__":
    trio.run(main)
