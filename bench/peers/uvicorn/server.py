"""uvicorn with `websockets` and uvloop: what a client says goes to everybody on the same path, one await after the other."""

import asyncio
import socket
import sys
from collections import defaultdict
from typing import Any

import uvicorn

rooms: dict[str, set[Any]] = defaultdict(set)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The ASGI application."""
    if scope["type"] != "websocket":
        return
    room = rooms[scope["path"]]
    await receive()
    await send({"type": "websocket.accept"})
    room.add(send)
    try:
        while (event := await receive())["type"] == "websocket.receive":
            said = {"type": "websocket.send", "bytes": event.get("bytes"), "text": event.get("text")}
            for other in list(room):
                await other(said)
    finally:
        room.discard(send)


def main() -> None:
    """Serve until stopped."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0))
    listener.listen(4096)
    print("ready", listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, ws="websockets", loop="uvloop", lifespan="off", log_level="warning", ws_per_message_deflate=False,
                            ws_ping_interval=25)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(uvicorn.Server(config).serve([listener]))


if __name__ == "__main__":
    main()
