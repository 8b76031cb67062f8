"""Bad input over the real socket: every case is answered with its code, or closed with its number. The table of docs/errors.md."""

import os
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from protocol.ids import make_uuid7, show_act
from tests.journeys.conftest import HERE, token


def new_id(ahead_ms: int = 0) -> str:
    return show_act(make_uuid7(time.time_ns() // 1_000_000 + ahead_ms, os.urandom(10)))


def send(**p: Any) -> bytes:
    return command("message.send", {"c": "lobby", "id": new_id(), "text": "x", **p})


def command(m: Any, p: Any = None, i: Any = 7) -> bytes:
    return bytes(msgpack.packb({"i": i, "m": m, "p": {} if p is None else p}))


def nested(depth: int) -> bytes:
    """A command whose `p` is nested so deep (its own map is 1)."""
    return b"\x83\xa1i\x07\xa1m\xacmessage.send\xa1p" + b"\x81\xa1a" * (depth - 2) + b"\x80"


CASES: list[tuple[str, Callable[[], bytes], str]] = [
    ("bytes that are no msgpack", lambda: b"\xc1\xff\x00", "close 4500"),
    ("a frame that ends too early", lambda: command("x")[:-1], "close 4500"),
    ("bytes behind a command", lambda: command("x") + b"\x01", "close 4500"),
    ("invalid UTF-8 in a text", lambda: b"\x82\xa1i\x07\xa1m\xa2\xff\xfe", "close 4500"),
    ("an empty array", lambda: bytes(msgpack.packb([])), "close 4500"),
    ("an array of 65 commands", lambda: bytes(msgpack.packb([{"m": "x"}] * 65)), "close 4500"),
    ("something else than a map", lambda: bytes(msgpack.packb("hello")), "close 4500"),
    ("no `m`", lambda: bytes(msgpack.packb({"i": 7, "p": {}})), "close 4500"),
    ("`i` is 0", lambda: command("x", i=0), "close 4500"),
    ("`i` is true", lambda: command("x", i=True), "close 4500"),
    ("a text frame on caas.v1", lambda: b"TEXT", "close 4500"),
    ("a frame over 64 KiB", lambda: send(text="x" * 70_000), "close 1009"),
    ("an unknown command", lambda: command("message.shout"), "unknown_command"),
    ("`p` is no map", lambda: command("message.send", [1]), "bad_request"),
    ("a field is missing", lambda: command("message.send", {"c": "lobby"}), "bad_request"),
    ("a number where text is meant", lambda: send(text=7), "bad_request"),
    ("a float where an integer is meant", lambda: command("message.list", {"c": "lobby", "limit": 2.0}), "bad_request"),
    ("a bool where an integer is meant", lambda: command("message.list", {"c": "lobby", "limit": True}), "bad_request"),
    ("null where it clears nothing", lambda: send(text=None), "bad_request"),
    ("an integer of 2^53", lambda: command("message.list", {"c": "lobby", "after": 2**53}), "bad_request"),
    ("an integer of 2^63", lambda: command("message.list", {"c": "lobby", "after": 2**63}), "bad_request"),
    ("bytes (bin)", lambda: send(custom={"a": b"\x00"}), "bad_request"),
    ("an extension type", lambda: send(custom={"a": msgpack.ExtType(5, b"x")}), "bad_request"),
    ("17 levels deep", lambda: nested(17), "bad_request"),
    ("a thousand levels deep", lambda: nested(1_000), "bad_request"),
    ("4,097 items", lambda: send(custom={"a": [0] * 4_097}), "bad_request"),
    ("an id with NUL", lambda: send(c="lob\x00by"), "bad_request"),
    ("a key that is no text", lambda: send(custom={"a": [{7: 1}]}), "bad_request"),
    ("a UUIDv4 as an id", lambda: send(id="0199c0ff-ee00-4000-8000-000000000000"), "bad_request"),
    ("an id two minutes ahead", lambda: send(id=new_id(120_000)), "id_in_future"),
    ("text over 16 KiB", lambda: send(text="x" * 16_385), "too_large"),
    ("`custom` over 4 KiB", lambda: send(custom={"a": "x" * 4_100}), "too_large"),
    ("101 mentions", lambda: send(mentions=["bob"] * 101), "too_large"),
    ("a user who does not exist", lambda: command("member.add", {"c": "lobby", "users": ["ghost"]}), "not_found"),
    ("a conversation of others", lambda: send(c="~0123456789abcdefghjkmnpq"), "not_found"),
    ("a second hello", lambda: command("hello", {"token": "x"}), "bad_request"),
]


@asynccontextmanager
async def connected(base: str, *subprotocols: str) -> AsyncIterator[WebSocketConnection]:
    """A connection whose socket is closed in the end, whoever closed the WebSocket."""
    async with open_websocket_url(base.replace("http", "ws") + "/ws", subprotocols=list(subprotocols)) as ws:
        try:
            yield ws
        finally:
            await trio.aclose_forcefully(ws._stream)


async def greeted(ws: WebSocketConnection, base: str) -> None:
    await ws.send_message(command("hello", {"token": await trio.to_thread.run_sync(token, base, "alice")}, i=1))
    assert "r" in msgpack.unpackb(await ws.get_message())


async def answered(ws: WebSocketConnection) -> str:
    """The code of the error reply, or how it was closed."""
    try:
        with trio.fail_after(10):
            while True:
                frame = msgpack.unpackb(await ws.get_message())
                for one in frame if isinstance(frame, list) else [frame]:
                    if one.get("i") == 7:
                        return str(one["e"]["code"]) if "e" in one else "accepted"
    except ConnectionClosed as closed:
        return f"close {closed.reason.code}"


@pytest.mark.parametrize(("case", "made", "expected"), CASES, ids=[case for case, _, _ in CASES])
async def test_bad_input_is_answered(server: str, case: str, made: Callable[[], bytes], expected: str) -> None:
    async with connected(server, "caas.v1") as ws:
        await greeted(ws, server)
        payload = made()
        await ws.send_message(payload.decode() if payload == b"TEXT" else payload)
        assert await answered(ws) == expected


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


def test_the_table_of_the_docs_is_this_one() -> None:
    page = (HERE.parents[1] / "docs" / "errors.md").read_text()
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \|$", page, re.MULTILINE)
    assert [(case, expected) for case, _, expected in CASES] == [row for row in rows if row[0] in {case for case, _, _ in CASES}]
