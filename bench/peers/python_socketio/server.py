"""python-socketio on uvicorn with uvloop, msgpack, WebSocket only: `join` a room, `say` a text to a room."""

import asyncio
import socket
import sys

import socketio
import uvicorn

io = socketio.AsyncServer(async_mode="asgi", serializer="msgpack", transports=["websocket"], logger=False)


@io.on("join")  # type: ignore[untyped-decorator]
async def join(sid: str, room: str) -> None:
    """Enter."""
    await io.enter_room(sid, room)


@io.on("say")  # type: ignore[untyped-decorator]
async def say(sid: str, room: str, text: str) -> None:
    """To everybody in it."""
    await io.emit("new", text, to=room)


def main() -> None:
    """Serve until stopped."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0))
    listener.listen(4096)
    print("ready", listener.getsockname()[1], flush=True)
    config = uvicorn.Config(socketio.ASGIApp(io), ws="websockets", loop="uvloop", lifespan="off", log_level="warning", ws_per_message_deflate=False)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(uvicorn.Server(config).serve([listener]))


if __name__ == "__main__":
    main()
