"""What a hostile client can cost: each attack has a budget in bytes, frames or memory, and ends with its code."""

import random
import struct

import pytest
import trio

from transport.websocket.connection import FRAMES_AT_ONCE
from transport.websocket.frames import CLOSE, PING, PONG, TEXT
from transport.websocket.handshake import MAX_HEAD
from transport.websocket.reader import FrameReader

EMPTY_FRAGMENT = b"\x00\x80\x11\x22\x33\x44"


async def push_until_cut(client, data):
    """Send without end; how many bytes the server's side took before it hung up on us."""
    try:
        while True:
            await client.send(data)
    except trio.BrokenResourceError:
        return client.sent


async def test_a_header_bomb_is_refused_after_8_kib(wire):
    async with wire.server() as server:
        client = await wire.connect(server.port)
        await client.send(wire.request()[:-2] + b"X-Bomb: " + b"a" * MAX_HEAD)
        assert (await client.everything()).startswith(b"HTTP/1.1 431 ")


async def test_many_headers_are_no_way_around_it(wire):
    async with wire.server() as server:
        client = await wire.connect(server.port)
        await client.send(wire.request()[:-2] + b"A: b\r\n" * 2_000)
        assert (await client.everything()).startswith(b"HTTP/1.1 431 ")


async def test_a_frame_of_2_to_the_62_is_refused_at_its_header(wire):
    async with wire.server() as server:
        client = await wire.dial(server.port)
        await client.send(b"\x82\xff" + struct.pack("!Q", 1 << 62))
        assert await client.receive_close() == (1009, "message too large")


async def test_a_message_over_the_limit_is_refused_whole_or_in_pieces(wire):
    async with wire.server(max_message=1_000) as server:
        whole, pieces = await wire.dial(server.port), await wire.dial(server.port)
        await whole.text("x" * 1_001)
        assert await whole.receive_close() == (1009, "message too large")
        await pieces.frame(TEXT, b"x" * 600, fin=False)
        await pieces.frame(0, b"x" * 401)
        assert await pieces.receive_close() == (1009, "message too large")
        assert server.handler.received == []


async def test_a_million_empty_fragments_are_cut_after_32(wire):
    async with wire.server() as server:
        client = await wire.dial(server.port)
        await client.frame(TEXT, b"", fin=False)
        await client.send(EMPTY_FRAGMENT * 10_000)
        assert await client.receive_close() == (1009, "too many fragments")


def test_what_comes_behind_the_cut_is_not_even_looked_at():
    reader = FrameReader()
    events = reader.feed(b"\x01\x80\x11\x22\x33\x44" + EMPTY_FRAGMENT * 1_000_000)
    assert len(events) == 1
    assert reader.feed(EMPTY_FRAGMENT) == []


def test_a_reader_holds_no_more_than_one_message_and_a_header():
    reader = FrameReader(max_message=1_000)
    reader.feed(b"\x02\xfe\x03\xe8\x11\x22\x33\x44" + bytes(999))
    assert len(reader._message) == 999
    assert reader._held == b""
    reader.feed(bytes(1) + b"\x80\xff\x00\x00\x00\x00\x00\x00")
    assert len(reader._held) <= 14


async def test_a_ping_flood_is_answered_ten_times(wire):
    async with wire.server() as server:
        client = await wire.dial(server.port)
        await client.send(wire.masked(PING, b"p" * 125) * 10_000)
        frames = []
        while (got := await client.receive())[0] != CLOSE:
            frames.append(got)
        assert frames == [(PONG, b"p" * 125)] * 10
        assert got[1] == struct.pack("!H", 4429) + b"too_many"


async def test_unasked_pongs_have_the_same_budget(wire):
    async with wire.server() as server:
        client = await wire.dial(server.port)
        await client.send(wire.masked(PONG, b"") * 11)
        assert await client.receive_close() == (4429, "too_many")


async def test_a_ping_a_second_is_no_flood(wire, autojump_clock):
    async with wire.server() as server:
        client = await wire.dial(server.port)
        for _ in range(40):
            await client.frame(PING, b"ours")
            while (got := await client.receive()) == (PING, b""):
                await client.frame(PONG, b"")
            assert got == (PONG, b"ours")
            await trio.sleep(1.01)


async def test_more_than_a_thousand_frames_at_once_are_closed_with_4429(wire, mock_clock):
    async with wire.server(frames_at_once=FRAMES_AT_ONCE) as server:
        client = await wire.dial(server.port)
        await client.send(wire.masked(TEXT, b"x") * 1_000)
        await server.handler.until(lambda: len(server.handler.received) == 1_000)
        await client.send(wire.masked(TEXT, b"one more"))
        assert await client.receive_close() == (4429, "too_many")
        assert len(server.handler.received) == 1_000


async def test_200_frames_a_second_are_taken_for_ever_and_a_thousand_after_a_rest(wire, autojump_clock):
    async with wire.server(frames_at_once=FRAMES_AT_ONCE) as server:
        client = await wire.dial(server.port)
        connection = await server.handler.first()
        for burst in [200] * 60 + [0] * 10 + [1_000]:
            expected = len(server.handler.received) + burst
            await client.send(wire.masked(TEXT, b"x") * burst)
            with trio.fail_after(5):
                await server.handler.until(lambda expected=expected: len(server.handler.received) == expected)
            connection.unanswered = 0  # this client answers no pings
            await trio.sleep(1)
        assert not connection.outbox.closed


async def test_300_frames_a_second_are_too_many_before_long(wire, autojump_clock):
    async with wire.server(frames_at_once=FRAMES_AT_ONCE) as server:
        client = await wire.dial(server.port)
        connection = await server.handler.first()
        with trio.fail_after(13):
            while not connection.outbox.closed:
                await client.send(wire.masked(TEXT, b"x") * 300)
                await trio.sleep(1)
        assert server.handler.ended == [(1, 4429)]


async def test_every_fragment_counts_as_a_frame_and_what_it_holds_does_not_matter(wire, mock_clock):
    async with wire.server(frames_at_once=FRAMES_AT_ONCE) as server:
        pieces, large = await wire.dial(server.port), await wire.dial(server.port)
        await large.send(wire.masked(TEXT, b"[" + b"{}," * 20_000 + b"{}]") * 20)
        await server.handler.until(lambda: len(server.handler.received) == 20)
        message = wire.masked(TEXT, b"", fin=False) + EMPTY_FRAGMENT * 30 + wire.masked(0, b"end")
        await pieces.send(message * 31)
        await server.handler.until(lambda: len(server.handler.received) == 51)
        await pieces.send(message)
        assert await pieces.receive_close() == (4429, "too_many")


async def test_pings_that_are_never_read_cost_no_more_than_the_budget(wire):
    async with wire.server() as server:
        client = await wire.dial(server.port)
        connection = await server.handler.first()
        await client.send(wire.masked(PING, bytes(125)) * 1_000)
        await server.handler.until(lambda: bool(server.handler.ended))
        assert connection.outbox.buffered <= 11 * 127


async def test_a_client_that_sends_and_never_reads_is_cut_with_4408(wire):
    """An echo of everything: what cannot be sent back waits, to 1 MiB."""
    async with wire.server(wire.echoing) as server:
        client = await wire.dial(server.port)
        connection = await server.handler.first()
        message = wire.masked(TEXT, b"x" * 60_000)
        while not connection.outbox.closed:
            await client.send(message)
            assert connection.outbox.buffered <= 1_048_576
        await server.handler.until(lambda: server.handler.ended == [(1, 4408)])
        assert connection.outbox.buffered <= 60_020  # the rest is dropped at once
        while (got := await client.receive())[0] != CLOSE:
            assert got == (TEXT, b"x" * 60_000)
        assert got[1] == struct.pack("!H", 4408) + b"slow"


async def test_half_open_a_peer_that_is_silent_for_two_heartbeats(wire, autojump_clock):
    async with wire.server() as server:
        await wire.dial(server.port)
        await server.handler.until(lambda: server.handler.ended == [(1, 4408)])
        assert 30 <= trio.current_time() <= 46
        while server.hub.open:
            await trio.sleep(1)
        assert trio.current_time() <= 53


async def test_a_flood_after_our_close_is_read_away_and_reset_after_5_s(wire, autojump_clock):
    async with wire.server() as server:
        client = await wire.dial(server.port)
        await client.send(b"\xff")  # a violation; then on and on
        begun = trio.current_time()
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await client.send(bytes(50_000))
                await trio.sleep(0.1)
        assert trio.current_time() - begun <= 6.5
        assert server.hub.open == 0


async def test_one_loud_client_does_not_keep_another_from_its_turn(wire):
    async with wire.server(wire.echoing) as server, trio.open_nursery() as nursery:
        loud, quiet = await wire.dial(server.port), await wire.dial(server.port)
        nursery.start_soon(push_until_cut, loud, wire.masked(TEXT, b"loud") * 5_000)
        for _ in range(20):
            await quiet.text("quiet")
            assert await quiet.receive() == (TEXT, b"quiet")
        nursery.cancel_scope.cancel()


async def misbehave(wire, port, rng):
    """One client's life, in random order and at random moments."""
    client = await wire.connect(port)
    steps = [
        lambda: client.send(wire.request()),
        lambda: client.send(wire.request(protocol=rng.choice(("caas.v1.json", "chat", None)))),
        lambda: client.send(rng.randbytes(rng.randrange(1, 300))),
        lambda: client.text("x" * rng.randrange(70_000)),
        lambda: client.frame(rng.choice((0, 1, 2, 8, 9, 10)), rng.randbytes(rng.randrange(126)), fin=rng.random() < 0.8),
        lambda: client.stream.receive_some(rng.randrange(1, 100_000)),
        client.stream.send_eof,
        lambda: trio.sleep(rng.random() * 3),
    ]
    try:
        if rng.random() < 0.8:
            await steps[0]()
        for _ in range(rng.randrange(8)):
            with trio.move_on_after(10):
                await rng.choice(steps)()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    await trio.aclose_forcefully(client.stream)


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_clients_do_every_count_returns_to_nothing(wire, autojump_clock, caplog, seed):
    rng = random.Random(seed)
    async with wire.server(wire.echoing) as server:
        async with trio.open_nursery() as nursery:
            for _ in range(60):
                nursery.start_soon(misbehave, wire, server.port, random.Random(rng.random()))
        with trio.fail_after(60):
            while server.door.inside or server.hub.open:
                await trio.sleep(1)
        handler = server.handler
        assert sorted(number for number, _ in handler.ended) == sorted(connection.id for connection in handler.connections)
        assert server.door.newcomers == 0
        assert server.hub.closing == {}
        assert server.hub.waiting == set()
    assert caplog.records == []
