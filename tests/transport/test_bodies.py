"""Requests that are answered before their body has come: the connection goes on, or ends, and never hangs."""

from typing import Any, ClassVar

import pytest
import trio
import trio.testing
from quart_trio import QuartTrio

from protocol.ids import make_uuid7
from tests.transport.conftest import open_server
from transport.asgi import open_asgi
from transport.rest import make_app

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Nothing:
    """No commands."""

    table: ClassVar[dict[str, Any]] = {}


class Ids:
    def uuid7(self) -> bytes:
        return make_uuid7(0, bytes(10))


@pytest.fixture
def app():
    return make_app(Nothing(), None, ids=Ids(), ready=lambda: True, metrics=bytes)


def put(length: int) -> bytes:
    return b"PUT /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % length


async def test_a_body_that_nobody_wants_does_not_stand_in_the_way_of_the_next_request(wire, app):
    async with open_asgi(app) as serve_http, open_server(serve_http=serve_http) as server:
        client = await wire.connect(server.port)
        for _ in range(3):
            await client.send(put(4))
            await trio.testing.wait_all_tasks_blocked(0.01)
            await client.send(b"body" + HEALTH)
            assert b" 405 " in await client.head()
            client.data = client.data.partition(b"}")[2]
            assert b" 200 " in await client.head()
            client.data = client.data.partition(b"}")[2]


async def test_a_body_that_never_comes_ends_the_connection(wire, app, autojump_clock):
    async with open_asgi(app) as serve_http, open_server(serve_http=serve_http) as server:
        client = await wire.connect(server.port)
        await client.send(put(4))
        answer = await client.everything()
        assert b" 405 " in answer
        assert b"connection: close" in answer.lower()


async def test_a_body_that_is_too_long_ends_the_connection(wire, app):
    async with open_asgi(app) as serve_http, open_server(serve_http=serve_http) as server:
        client = await wire.connect(server.port)
        await client.send(put(10_000_000))
        answer = await client.everything()
        assert b" 405 " in answer
        assert b"connection: close" in answer.lower()


async def test_whoever_answers_early_and_reads_nothing_ends_the_connection(wire):
    async with open_asgi(QuartTrio("early")) as serve_http, open_server(serve_http=serve_http) as server:
        client = await wire.connect(server.port)
        await client.send(put(4))
        assert b" 404 " in await client.everything()


async def test_an_answer_leaves_in_one_piece(wire, app):
    pieces: list[bytes] = []

    async with open_asgi(app) as serve_http:

        async def noted(stream: Any) -> None:
            send_all = stream.send_all

            async def send_noted(data: bytes) -> None:
                pieces.append(bytes(data))
                await send_all(data)

            stream.send_all = send_noted
            await serve_http(stream)

        async with open_server(serve_http=noted) as server:
            client = await wire.connect(server.port)
            for request, status in ((HEALTH, b"200"), (HEALTH.replace(b"GET", b"HEAD"), b"200"), (b"GET /none" + HEALTH[11:], b"404")):
                await client.send(request)
                assert status in await client.head()
                client.data = b""
            await client.send(b"nonsense\r\n\r\n")
            assert b"400" in await client.everything()
    assert [piece.split(b" ")[1] for piece in pieces] == [b"200", b"200", b"404", b"400"]
