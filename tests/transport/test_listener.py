"""One port for everything: whose a connection is, who may come in, TLS, and REST beside it."""

import resource
import ssl

import pytest
import trio
import trio_websocket
import trustme

from transport.asgi import open_asgi
from transport.door import UNLIMITED, Door, DoorLimits
from transport.listener import open_sockets
from transport.websocket.frames import TEXT


async def app(scope, receive, send):
    """An ASGI application that says what it was asked, and keeps its lifespan in `state`."""
    if scope["type"] == "lifespan":
        for done in ("lifespan.startup.complete", "lifespan.shutdown.complete"):
            await receive()
            await send({"type": done})
        return
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    answer = f"{scope['method']} {scope['path']} {scope['scheme']} {scope['client'][0]}".encode() + body + message["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(answer)).encode())]})
    await send({"type": "http.response.body", "body": answer})


def get(path, extra=""):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{extra}\r\n".encode()


async def body(client):
    head = await client.head()
    assert head.startswith(b"HTTP/1.1 200")
    size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(client.data) < size:
        client.data += await client.stream.receive_some()
    found, client.data = client.data[:size], client.data[size:]
    return found


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def tls(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def secure(wire, port, trusting):
    stream = trio.SSLStream(await trio.open_tcp_stream("127.0.0.1", port), trusting, server_hostname="localhost", https_compatible=True)
    return wire.client(stream)


async def test_rest_and_websockets_on_one_port(wire):
    async with open_asgi(app) as serve_http, wire.server(wire.echoing, serve_http=serve_http) as server:
        rest = await wire.connect(server.port)
        await rest.send(get("/api/v1/users"))
        assert await body(rest) == b"GET /api/v1/users http 127.0.0.1"
        chat = await wire.dial(server.port)
        await chat.text("hello")
        assert await chat.receive() == (TEXT, b"hello")
        await rest.send(get("/again"))  # kept alive
        assert await body(rest) == b"GET /again http 127.0.0.1"


async def test_a_request_in_single_bytes_reaches_rest_whole(wire):
    async with open_asgi(app) as serve_http, wire.server(serve_http=serve_http) as server:
        client = await wire.connect(server.port)
        for byte in b"POST /ws-like HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody":
            await client.send(bytes((byte,)))
        assert await body(client) == b"POST /ws-like http 127.0.0.1body"


async def large(scope, receive, send):
    """Answers with more than a socket takes."""
    if scope["type"] == "lifespan":
        return await app(scope, receive, send)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"50000000")]})
    await send({"type": "http.response.body", "body": bytes(50_000_000)})
    return None


@pytest.mark.parametrize("secured", [False, True])
async def test_whoever_does_not_read_an_answer_is_hung_up_on_after_10_s(wire, autojump_clock, tls, trusting, secured):
    async with open_asgi(large) as serve_http, wire.server(serve_http=serve_http, tls=tls if secured else None) as server:
        client = await (secure(wire, server.port, trusting) if secured else wire.connect(server.port))
        await client.send(get("/"))
        begun = trio.current_time()
        with trio.fail_after(30):
            while server.door.inside or trio.current_time() == begun:
                await trio.sleep(0.5)
        assert trio.current_time() - begun >= 10


async def test_whoever_does_not_read_an_answer_does_not_hold_up_the_end(wire, autojump_clock):
    async with open_asgi(large) as serve_http:
        async with wire.server(serve_http=serve_http) as server:
            client = await wire.connect(server.port)
            await client.send(get("/"))
            await trio.sleep(1)
            begun = trio.current_time()
        assert trio.current_time() - begun <= 10


async def test_a_slow_reader_of_an_answer_gets_all_of_it(wire, autojump_clock):
    async with open_asgi(large) as serve_http, wire.server(serve_http=serve_http) as server:
        client = await wire.connect(server.port)
        await client.send(get("/"))
        size = 0
        while size < 50_000_000:
            size += len(await client.stream.receive_some(1_000_000))
            await trio.sleep(1)


@pytest.mark.parametrize("asked", [
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    get("/h", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
])
async def test_http_2_is_not_spoken(wire, asked):
    async with open_asgi(app) as serve_http, wire.server(serve_http=serve_http) as server:
        client = await wire.connect(server.port)
        await client.send(asked)
        assert (await client.head()).startswith((b"HTTP/1.1 200", b"HTTP/1.1 4"))


async def test_without_rest_there_is_nothing_else(wire):
    async with wire.server() as server:
        client = await wire.connect(server.port)
        await client.send(get("/"))
        assert (await client.everything()).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    ("asked", "status"),
    [(b"POST /ws HTTP/1.1\r\nHost: a\r\n\r\n", b"405"), (get("/ws"), b"426"), (b"GET /ws HTTP/1.1\r\nbroken\r\n\r\n", b"400")],
)
async def test_a_bad_handshake_is_answered_and_closed(wire, asked, status):
    async with wire.server() as server:
        client = await wire.connect(server.port)
        await client.send(asked)
        assert (await client.everything()).startswith(b"HTTP/1.1 " + status)
        await client.stream.aclose()
        while server.door.newcomers:
            await trio.testing.wait_all_tasks_blocked()
        assert server.handler.connections == []


async def test_tls_on_the_same_terms(wire, tls, trusting):
    async with open_asgi(app) as serve_http, wire.server(wire.echoing, serve_http=serve_http, tls=tls) as server:
        rest = await secure(wire, server.port, trusting)
        for _ in range(2):
            await rest.send(get("/api"))
            assert await body(rest) == b"GET /api https 127.0.0.1"
        chat = await secure(wire, server.port, trusting)
        await chat.send(wire.request() + wire.masked(TEXT, b"early"))
        assert (await chat.head()).startswith(b"HTTP/1.1 101 ")
        assert await chat.receive() == (TEXT, b"early")
        await chat.text("x" * 60_000)
        assert await chat.receive() == (TEXT, b"x" * 60_000)
        refused = await secure(wire, server.port, trusting)
        await refused.send(get("/ws"))
        assert (await refused.head()).startswith(b"HTTP/1.1 426 ")
        await refused.stream.aclose()


async def test_trio_websocket_over_tls(wire, tls, trusting):
    async with (
        wire.server(wire.echoing, tls=tls) as server,
        trio_websocket.open_websocket("localhost", server.port, "/ws", use_ssl=trusting, subprotocols=["caas.v1"]) as client,
    ):
        await client.send_message(b"hello")
        assert await client.get_message() == b"hello"
        await client.aclose(4001, "done")
        await server.handler.until(lambda: server.handler.ended == [(1, 4001)])


async def test_plain_text_to_a_tls_port_just_ends(wire, tls):
    async with wire.server(tls=tls) as server:
        client = await wire.connect(server.port)
        await client.send(get("/ws"))
        await client.everything()
        while server.door.newcomers:
            await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("said", [b"", b"GET /w", b"GET /ws HTTP/1.1\r\nHost: a\r\n"])
async def test_5_s_for_the_handshake(wire, autojump_clock, said):
    async with wire.server() as server:
        client = await wire.connect(server.port)
        await client.send(said)
        assert await client.everything() == b""
        assert 5 <= trio.current_time() <= 6.5
        assert server.door.newcomers == 0


async def test_5_s_for_the_handshake_of_tls_too(wire, autojump_clock, tls):
    async with wire.server(tls=tls) as server:
        client = await wire.connect(server.port)
        await client.send(b"\x16\x03\x01")
        assert await client.everything() == b""
        assert 5 <= trio.current_time() <= 6.5


async def test_a_dribbled_handshake_gains_no_time(wire, autojump_clock):
    async with wire.server() as server:
        client = await wire.connect(server.port)
        with pytest.raises(trio.BrokenResourceError):
            for byte in wire.request():
                await client.send(bytes((byte,)))
                await trio.sleep(1)
        assert trio.current_time() <= 8


async def refused(wire, server, address="127.0.0.1"):
    client = await wire.connect(server.port, address=address)
    return await client.everything() == b""


async def test_sockets_of_one_address(wire):
    async with wire.server(limits=wire.limits(of_one_address=2, accepts_a_second=None)) as server:
        first, _ = await wire.dial(server.port), await wire.dial(server.port)
        assert await refused(wire, server)
        await wire.dial(server.port, address="127.0.0.2")
        await first.stream.aclose()
        await server.handler.until(lambda: bool(server.handler.ended))
        await wire.dial(server.port)
        assert server.door.refused == 1


async def test_sockets_of_one_address_in_a_second(wire, autojump_clock):
    async with wire.server(limits=wire.limits(accepts_a_second=2)) as server:
        for _ in range(2):
            await wire.dial(server.port)
        assert await refused(wire, server)
        await wire.dial(server.port, address="127.0.0.2")
        await trio.sleep(1)
        await wire.dial(server.port)


async def test_strangers_are_bounded_until_they_are_admitted(wire):
    limits = wire.limits(newcomers=2, accepts_a_second=None)
    async with wire.server(limits=limits) as server:
        server.handler.opened = lambda connection: server.handler.connections.append(connection)
        await wire.dial(server.port)
        await wire.connect(server.port)
        await wire.client(await trio.open_tcp_stream("127.0.0.1", server.port)).everything()
        assert server.door.refused == 1
        server.handler.connections[0].admitted()
        server.handler.connections[0].admitted()  # once is enough
        assert server.door.newcomers == 1
        await wire.dial(server.port)


async def test_strangers_of_one_address_are_bounded_until_they_are_admitted(wire):
    async with wire.server(limits=wire.limits(newcomers_of_one_address=2, accepts_a_second=None)) as server:
        server.handler.opened = lambda connection: server.handler.connections.append(connection)
        first, _ = await wire.dial(server.port), await wire.connect(server.port)
        assert await refused(wire, server)
        await wire.dial(server.port, address="127.0.0.2")
        server.handler.connections[0].admitted()
        second = await wire.dial(server.port)
        assert await refused(wire, server)
        await second.stream.aclose()
        await server.handler.until(lambda: bool(server.handler.ended))
        await wire.dial(server.port)
        await first.stream.aclose()
        await server.handler.until(lambda: len(server.handler.ended) == 2)
        assert await refused(wire, server)  # the one who left was known: the strangers are as many as before


def test_strangers_take_a_fifth_of_the_sockets_at_most(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1_000, 1_000))
    door = Door(DoorLimits(accepts_a_second=None))
    came = [door.enter(f"10.0.0.{number % 200}", 50 + number, 0.0) for number in range(300)]
    assert sum(came) == 1_000 * 0.9 * 0.2
    assert Door(UNLIMITED).enter("10.0.0.1", 50, 0.0)


def test_without_limits_only_the_descriptors_count(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1_000, 1_000))
    door = Door(UNLIMITED)
    assert sum(door.enter("10.0.0.1", descriptor, 0.0) for descriptor in range(1_000)) == 900


async def test_descriptors_are_kept_back(wire):
    async with wire.server(limits=wire.limits(descriptors_kept=1.0)) as server:
        assert await refused(wire, server)


async def test_counts_return_to_nothing(wire, tls, trusting):
    async with open_asgi(app) as serve_http, wire.server(serve_http=serve_http) as server:
        clients = [await wire.dial(server.port) for _ in range(3)] + [await wire.connect(server.port)]
        await clients[-1].send(get("/x") + get("/y"))
        await body(clients[-1])
        for client in clients:
            await client.stream.aclose()
        while server.door.newcomers or server.door.inside:
            await trio.testing.wait_all_tasks_blocked()


async def test_two_processes_may_share_a_port():
    first = open_sockets("127.0.0.1", 0)
    port = first[0].getsockname()[1]
    second = open_sockets("127.0.0.1", port)
    with pytest.raises(OSError) as alone:
        open_sockets("127.0.0.1", port, shared=False)
    assert alone.value.errno is not None
    for sock in first + second:
        sock.close()


async def test_an_application_that_cannot_start_says_so():
    async def broken(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(BaseExceptionGroup) as failed:
        async with open_asgi(broken):
            pass
    assert "no database" in repr(failed.value)
