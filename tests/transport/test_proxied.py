"""Clients that a balancer brings are counted as themselves, and nobody else may say who they are."""

import socket
import ssl
import struct

import pytest
import trio
import trustme

from transport.asgi import open_asgi
from transport.proxied import BadHeader, Proxies, read_source
from transport.websocket.frames import TEXT

BALANCER = "127.0.0.2"
PROXIES = Proxies([BALANCER])


def binary(source="203.0.113.9", *, command=0x21, extra=b""):
    kind, family = (socket.AF_INET6, 0x21) if ":" in source else (socket.AF_INET, 0x11)
    addresses = socket.inet_pton(kind, source) * 2 + struct.pack(">HH", 4711, 443) + extra
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack(">BBH", command, family, len(addresses)) + addresses


def line(source="203.0.113.9"):
    return f"PROXY TCP{6 if ':' in source else 4} {source} {source} 4711 443\r\n".encode()


async def read(data):
    """The source, and what was left unread."""
    rest = bytearray(data)

    async def exactly(count):
        if len(rest) < count:
            raise ConnectionAbortedError
        taken = bytes(rest[:count])
        del rest[:count]
        return taken

    return await read_source(exactly), bytes(rest)


@pytest.mark.parametrize("header", [binary, line])
@pytest.mark.parametrize("source", ["203.0.113.9", "2001:db8::9"])
async def test_the_source_is_read_and_nothing_behind_it(header, source):
    assert await read(header(source) + b"GET / HTTP/1.1") == (source, b"GET / HTTP/1.1")


async def test_what_balancers_add_is_passed_over():
    assert await read(binary(extra=b"\x03\x00\x04\x01\x02\x03\x04") + b"rest") == ("203.0.113.9", b"rest")


@pytest.mark.parametrize("header", [binary(command=0x20), b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff:: ffff:: 1 2\r\n",
                                    b"\r\n\r\n\0\r\nQUIT\n\x21\x00\x00\x00", b"\r\n\r\n\0\r\nQUIT\n\x21\x31\x00\x02/a"])
async def test_a_balancer_may_speak_for_itself(header):
    assert await read(header + b"rest") == (None, b"rest")


@pytest.mark.parametrize("data", [b"GET /ready HTTP/1.1\r\n\r\n", binary(command=0x22), binary()[:14] + b"\xff\xff" + bytes(70_000),
                                  b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x04abcd", b"PROXY TCP4 nowhere 1.2.3.4 1 2\r\n",
                                  b"PROXY TCP4 \xff\xff\xff\xff 1.2.3.4 1 2\r\n", b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", b"PROXY TCP4\r\n" + bytes(9),
                                  b"PROXY " + b"x" * 200])
async def test_anything_else_is_refused(data):
    with pytest.raises(BadHeader):
        await read(data)


async def test_a_header_that_stops_is_the_end():
    for size in range(len(binary())):
        with pytest.raises(ConnectionAbortedError):
            await read(binary()[:size])


def test_networks():
    proxies = Proxies(["10.0.0.0/8", "192.0.2.7", "fd00::/8"])
    assert all(address in proxies for address in ("10.255.0.1", "192.0.2.7", "fd00::1", "::ffff:10.0.0.1"))
    assert not any(address in proxies for address in ("11.0.0.1", "192.0.2.8", "fe80::1%eth0"))
    assert "10.0.0.1" not in Proxies()


async def dial(wire, server, header):
    client = await wire.connect(server.port, address=BALANCER)
    await client.send(header + wire.request())
    return client


async def test_each_client_of_a_balancer_is_counted_as_itself(wire):
    limits = wire.limits(of_one_address=1, accepts_a_second=None)
    async with wire.server(wire.echoing, limits=limits, proxies=PROXIES) as server:
        for number in range(3):
            client = await dial(wire, server, binary(f"203.0.113.{number}"))
            assert (await client.head()).startswith(b"HTTP/1.1 101 ")
            await client.text("hello")
            assert await client.receive() == (TEXT, b"hello")
        refused = await dial(wire, server, line("203.0.113.1"))
        assert await refused.everything() == b""
        await wire.clients[1].stream.aclose()
        await server.handler.until(lambda: bool(server.handler.ended))
        assert (await (await dial(wire, server, line("203.0.113.1"))).head()).startswith(b"HTTP/1.1 101 ")


async def app(scope, receive, send):
    while scope["type"] == "lifespan":
        await send({"type": f"{(await receive())['type']}.complete"})
    said = scope["client"][0].encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(said)).encode())]})
    await send({"type": "http.response.body", "body": said})


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.mark.parametrize(("header", "client"), [(binary(command=0x20), BALANCER), (binary("203.0.113.7"), "203.0.113.7"),
                                                (binary("2001:db8::7"), "2001:db8::7")])
@pytest.mark.parametrize("secure", [False, True])
async def test_rest_is_told_whose_request_it_is(wire, authority, header, client, secure):
    ours, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(ours)
    authority.configure_trust(theirs)
    async with open_asgi(app) as serve_http, wire.server(serve_http=serve_http, proxies=PROXIES, tls=ours if secure else None) as server:
        asking = await wire.connect(server.port, address=BALANCER)
        await asking.send(header)
        if secure:
            asking = wire.client(trio.SSLStream(asking.stream, theirs, server_hostname="localhost", https_compatible=True))
        await asking.send(b"GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await asking.everything()).endswith(f"\r\n\r\n{client}".encode())


async def test_a_header_is_no_word_of_a_stranger_and_a_balancer_may_not_leave_it_out(wire):
    async with wire.server(proxies=PROXIES) as server:
        stranger = await wire.connect(server.port)
        await stranger.send(line() + wire.request())
        assert not (await stranger.everything()).startswith(b"HTTP/1.1 101")
        silent = await wire.connect(server.port, address=BALANCER)
        await silent.send(wire.request())
        assert await silent.everything() == b""
        assert (await wire.dial(server.port)).stream
        assert server.door.newcomers == 0


async def test_a_balancer_that_says_nothing_is_waited_for_as_long_as_anybody(wire, autojump_clock):
    async with wire.server(proxies=PROXIES) as server:
        began = trio.current_time()
        slow = await wire.connect(server.port, address=BALANCER)
        await slow.send(binary()[:7])
        assert await slow.everything() == b""
        assert trio.current_time() - began == pytest.approx(5.0)
        assert server.door.newcomers == 0
