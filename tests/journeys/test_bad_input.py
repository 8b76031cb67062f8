"""Bad input over the real socket: every case is answered with its code, or closed with its number. The corpus is
`protocol/vectors/bad_frames.json`; the table of docs/errors.md is made of it."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from scripts.bad_frames import payload
from tests.journeys.conftest import HERE, token

VECTORS = json.loads((HERE.parents[1] / "protocol" / "vectors" / "bad_frames.json").read_text())
CASES = [(subprotocol, vector) for subprotocol in ("caas.v1", "caas.v1.json") for vector in VECTORS[subprotocol]]
READ = {"caas.v1": msgpack.unpackb, "caas.v1.json": json.loads}
WRITE: dict[str, Callable[[Any], bytes | str]] = {"caas.v1": msgpack.packb, "caas.v1.json": json.dumps}


def command(m: str, p: Any = None, i: int = 7) -> bytes:
    return bytes(msgpack.packb({"i": i, "m": m, "p": {} if p is None else p}))


@asynccontextmanager
async def connected(base: str, *subprotocols: str) -> AsyncIterator[WebSocketConnection]:
    """A connection whose socket is closed in the end, whoever closed the WebSocket."""
    async with open_websocket_url(base.replace("http", "ws") + "/ws", subprotocols=list(subprotocols)) as ws:
        try:
            yield ws
        finally:
            await trio.aclose_forcefully(ws._stream)


async def greeted(ws: WebSocketConnection, base: str, subprotocol: str) -> None:
    hello = {"i": 1, "m": "hello", "p": {"token": await trio.to_thread.run_sync(token, base, "alice")}}
    await ws.send_message(WRITE[subprotocol](hello))
    assert "r" in READ[subprotocol](await ws.get_message())


async def answered(ws: WebSocketConnection, subprotocol: str = "caas.v1") -> str:
    """The code of the error reply, or how it was closed."""
    try:
        with trio.fail_after(10):
            while True:
                frame = READ[subprotocol](await ws.get_message())
                for one in frame if isinstance(frame, list) else [frame]:
                    if one.get("i") == 7:
                        return str(one["e"]["code"]) if "e" in one else "accepted"
    except ConnectionClosed as closed:
        return f"close {closed.reason.code}"


@pytest.mark.parametrize(("subprotocol", "vector"), CASES, ids=[vector["name"] for _, vector in CASES])
async def test_bad_input_is_answered(server: str, subprotocol: str, vector: dict[str, Any]) -> None:
    async with connected(server, subprotocol) as ws:
        await greeted(ws, server, subprotocol)
        await ws.send_message(payload(vector))
        assert await answered(ws, subprotocol) == vector["answer"]


@pytest.mark.parametrize(("first", "expected"), [
    (command("conversation.list"), ["not_authenticated", "close 4501"]),
    (command("hello", {"token": "nonsense"}), ["token_invalid", "close 4502"]),
    (command("hello", {}), ["bad_request", "close 4504"]),
])
async def test_before_hello(server: str, first: bytes, expected: list[str]) -> None:
    async with connected(server, "caas.v1") as ws:
        await ws.send_message(first)
        assert [await answered(ws), await answered(ws)] == expected


async def test_no_subprotocol(server: str) -> None:
    async with connected(server) as ws:
        assert await answered(ws) == "close 4504"


async def test_silence_is_closed(server: str) -> None:
    async with connected(server, "caas.v1") as ws:
        assert await answered(ws) == "close 4501"
