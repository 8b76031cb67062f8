"""A server that misbehaves is caught: what it leaves out, says twice, or swaps is counted, and nothing else is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from bench.generate import ASK, MARKER, Broken, Dialect, Generator, Pace, Ran, Script, client_frame, publish, text_of, upgrade

SENT = 20
Plant = Callable[[int, bytes, list[bytes]], list[bytes]]
"""From a message's number, the message and what was held back so far, what is sent now."""


def as_it_came(number: int, said: bytes, held: list[bytes]) -> list[bytes]:
    return [said]


def a_gap(number: int, said: bytes, held: list[bytes]) -> list[bytes]:
    return [] if number == 5 else [said]


def no_end(number: int, said: bytes, held: list[bytes]) -> list[bytes]:
    return [] if number >= SENT - 2 else [said]


def a_double(number: int, said: bytes, held: list[bytes]) -> list[bytes]:
    return [said, said] if number == 5 else [said]


def a_late_double(number: int, said: bytes, held: list[bytes]) -> list[bytes]:
    held.append(said)
    return [said, held[2]] if number == 9 else [said]


def disorder(number: int, said: bytes, held: list[bytes]) -> list[bytes]:
    if number == 5:
        held.append(said)
        return []
    return [said, held.pop()] if held else [said]


def a_stray(number: int, said: bytes, held: list[bytes]) -> list[bytes]:
    return [said.replace(b"~b1~000000", b"~b1~00beef")] if number == 5 else [said]


async def measured(plant: Plant, program: Path) -> tuple[Ran, list[bytes]]:
    """A connection that sends to a server which answers as `plant` says; and what came to it besides."""
    besides: list[bytes] = []

    async def serve(request: WebSocketRequest) -> None:
        one, held, number = await request.accept(), list[bytes](), 0
        try:
            await one.send_message("2")
            await one.ping(b"are you there?")
            while True:
                said = await one.get_message()
                if isinstance(said, str) or not said.startswith(MARKER[:4].encode()):
                    besides.append(said.encode() if isinstance(said, str) else said)
                    continue
                for each in plant(number, said, held):
                    await one.send_message(each)
                number += 1
        except ConnectionClosed:
            return

    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, serve, "127.0.0.1", 0, None)
        try:
            return await trio.to_thread.run_sync(generated, program, server.port), besides
        finally:
            nursery.cancel_scope.cancel()


def generated(program: Path, port: int) -> Ran:
    with Generator(program=program / "generate") as generator:
        generator.speak(Dialect("own", ping=b"2", pong=client_frame(b"3", 0x1)), "127.0.0.1", port)
        conns = generator.add(Script(upgrade("/")))
        generator.open(conns)
        generator.stream(0, 1, publish(client_frame(text_of(60).encode())))
        generator.expect(conns, range(1))
        return generator.run(SENT * 0.005 + 0.0025, {0: Pace(rate=200)}, drain_s=0.5)


@pytest.mark.parametrize(("plant", "found"), [
    (as_it_came, {}), (a_gap, {"gaps": 1, "missing": 1}), (no_end, {"missing": 2}), (a_double, {"doubles": 1}), (a_late_double, {"doubles": 1}),
    (disorder, {"disorder": 1}), (a_stray, {"strays": 1, "gaps": 1, "missing": 1}),
], ids=lambda value: getattr(value, "__name__", ""))
async def test_what_is_wrong_is_counted_and_nothing_else(plant: Plant, found: dict[str, int], programs: Path) -> None:
    ran, besides = await measured(plant, programs)
    assert {name: count for name, count in ran.faults.items() if count} == found
    assert ran.flows[0].sent == SENT
    assert ran.flows[0].latency.get_total_count() == SENT - found.get("missing", 0)
    assert besides == [b"3"], "a ping of the program is answered"


async def test_what_is_refused_is_no_gap(programs: Path) -> None:
    async def serve(request: WebSocketRequest) -> None:
        one = await request.accept()
        for number in range(SENT):
            said = await one.get_message()
            await one.send_message(b'{"id":%d,"error":{"code":109}}' % json.loads(said)["id"] if number in (5, 6, 9) else said)
        with pytest.raises(ConnectionClosed):
            await one.get_message()

    def ask(port: int) -> Ran:
        with Generator(program=programs / "generate") as generator:
            generator.speak(Dialect("json"), "127.0.0.1", port)
            generator.open(generator.add(Script(upgrade("/"))))
            generator.stream(0, 1, publish(client_frame(b'{"id":%d,"text":"%s"}' % (ASK, text_of(60).encode()))))
            generator.expect(range(1), range(1))
            return generator.run(SENT * 0.005 + 0.0025, {0: Pace(rate=200)}, drain_s=0.5)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, serve, "127.0.0.1", 0, None)
        ran = await trio.to_thread.run_sync(ask, server.port)
        nursery.cancel_scope.cancel()
    assert not any(ran.faults.values()), ran.faults
    assert (ran.flows[0].sent, ran.flows[0].refused, ran.flows[0].delivered) == (SENT, 3, SENT - 3)


async def test_who_sends_no_websocket_is_said(programs: Path) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")

    async with trio.open_nursery() as nursery:
        listeners: list[Any] = await nursery.start(trio.serve_tcp, answer, 0)
        with pytest.raises(Broken, match="503 Service Unavailable"):
            await trio.to_thread.run_sync(generated, programs, listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()


async def test_a_server_that_closes_is_said(programs: Path) -> None:
    async def serve(request: WebSocketRequest) -> None:
        one: WebSocketConnection = await request.accept()
        await one.aclose(4503, "revoked")

    def closed(port: int) -> dict[str, Any]:
        with Generator(program=programs / "generate") as generator:
            generator.speak(Dialect(), "127.0.0.1", port)
            generator.open(generator.add(Script(upgrade("/"))), loosely=True)
            while (told := generator.state())["ready"]:
                pass
            return told

    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, serve, "127.0.0.1", 0, None)
        told = await trio.to_thread.run_sync(closed, server.port)
        nursery.cancel_scope.cancel()
    assert told["closed_with"] == {"4503": 1}
