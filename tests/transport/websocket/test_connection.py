"""Connections over real loopback sockets, and the same over streams in memory."""

import struct

import pytest
import trio
import trio.testing
import trio_websocket

from transport.websocket.frames import BINARY, CLOSE, PING, PONG, TEXT, frame
from transport.websocket.handshake import Upgrade


async def test_trio_websocket_talks_to_us(wire):
    async with (
        wire.server(wire.echoing) as server,
        trio_websocket.open_websocket_url(f"ws://127.0.0.1:{server.port}/ws", subprotocols=["caas.v1", "caas.v1.json"]) as client,
    ):
        assert client.subprotocol == "caas.v1"
        for message in ("", "grüße", "x" * 65_536, b"", b"\x00" * 126, bytes(65_536)):
            await client.send_message(message)
            assert await client.get_message() == message
        await client.ping(b"are you there")
        await client.aclose(4001, "enough")
        await server.handler.until(lambda: server.handler.ended == [(1, 4001)])
    assert [type(payload) for _, payload in server.handler.received] == [bytes] * 6


async def test_what_a_connection_says_of_itself(wire):
    async with wire.server() as server:
        client = await wire.connect(server.port)
        await client.send(wire.request(protocol="caas.v1.json", Origin="https://a.example", User_Agent="test"))
        assert b"Sec-WebSocket-Protocol: caas.v1.json" in await client.head()
        connection = await server.handler.first()
        assert (connection.id, connection.peer, connection.subprotocol, connection.binary) == (1, "127.0.0.1", "caas.v1.json", False)
        assert connection.headers == {"origin": "https://a.example", "user-agent": "test"}


async def test_messages_of_one_read_come_as_one_batch_in_order(wire):
    batches = []
    async with wire.server() as server:
        server.handler.messages = lambda connection, batch: (batches.append(batch), type(server.handler).messages(server.handler, connection, batch))
        client = await wire.dial(server.port)
        await client.send(wire.masked(TEXT, b"one") + wire.masked(BINARY, b"two") + wire.masked(TEXT, b"three"))
        await server.handler.until(lambda: len(server.handler.received) == 3)
    assert batches == [[(TEXT, b"one"), (BINARY, b"two"), (TEXT, b"three")]]


async def test_frames_that_came_with_the_handshake_are_not_lost(wire):
    async with wire.server(wire.echoing) as server:
        client = await wire.connect(server.port)
        await client.send(wire.request() + wire.masked(TEXT, b"early") + wire.masked(TEXT, b"bird"))
        await client.head()
        assert [await client.receive(), await client.receive()] == [(TEXT, b"early"), (TEXT, b"bird")]


async def test_frames_of_one_tick_leave_in_one_send_and_shared_bytes_go_to_everybody(wire):
    async with wire.server() as server:
        clients = [await wire.dial(server.port) for _ in range(3)]
        await server.handler.until(lambda: len(server.handler.connections) == 3)
        event = frame(BINARY, b"news")
        for connection in server.handler.connections:
            for _ in range(5):
                connection.outbox.send_frames(event)
            assert connection.outbox.buffered == 5 * len(event)
        for client in clients:
            assert bytes(await client.stream.receive_some(1000)) == event * 5
        assert [connection.outbox.buffered for connection in server.handler.connections] == [0, 0, 0]


async def test_a_ping_is_answered_between_the_fragments_of_a_message(wire):
    async with wire.server(wire.echoing) as server:
        client = await wire.dial(server.port)
        await client.frame(TEXT, b"hel", fin=False)
        await client.frame(PING, b"now")
        assert await client.receive() == (PONG, b"now")
        await client.frame(0, b"lo")
        assert await client.receive() == (TEXT, b"hello")


async def test_no_subprotocol_of_ours_is_closed_4504_and_the_handler_never_hears_of_it(wire):
    async with wire.server() as server:
        for protocol in (None, "chat"):
            client = await wire.dial(server.port, protocol=protocol)
            assert await client.receive_close() == (4504, "protocol")
            await client.frame(CLOSE, struct.pack("!H", 4504))
            assert await client.receive() is None
        assert server.handler.connections == server.handler.ended == []


@pytest.mark.parametrize(("payload", "answer", "code"), [(b"", b"", 1005), (struct.pack("!H", 3000) + b"bye", struct.pack("!H", 3000), 3000)])
async def test_the_peer_closes(wire, payload, answer, code):
    async with wire.server() as server:
        client = await wire.dial(server.port)
        await client.send(wire.masked(TEXT, b"last") + wire.masked(CLOSE, payload) + wire.masked(TEXT, b"too late"))
        assert await client.receive() == (CLOSE, answer)
        assert await client.receive() is None  # the server hangs up first
        await client.stream.aclose()
        await server.handler.until(lambda: bool(server.handler.ended))
        assert server.handler.ended == [(1, code)]
        assert server.handler.received == [(TEXT, b"last")]


async def test_we_close_and_hear_nothing_more(wire):
    def close_at_stop(connection, opcode, payload):
        if payload == b"stop":
            connection.outbox.close(4001, "stop")
            connection.outbox.send(b"after the end", text=True)
            connection.outbox.close(4002, "again")

    async with wire.server(close_at_stop) as server:
        client = await wire.dial(server.port)
        await client.text("stop")
        assert await client.receive() == (CLOSE, struct.pack("!H", 4001) + b"stop")
        await server.handler.until(lambda: server.handler.ended == [(1, 4001)])
        await client.text("still talking")
        await client.frame(PING)
        await client.frame(CLOSE, struct.pack("!H", 4001))
        assert await client.receive() is None
        await client.stream.aclose()
        assert server.handler.received == [(TEXT, b"stop")]


async def test_who_never_answers_our_close_is_reset_after_5_s(wire, autojump_clock):
    async with wire.server() as server:
        client = await wire.dial(server.port)
        (await server.handler.first()).outbox.close(4001, "stop")
        begun = trio.current_time()
        assert await client.receive_close() == (4001, "stop")
        with pytest.raises(trio.BrokenResourceError):  # reset, not ended: nothing is left to linger in the kernel
            await client.receive()
        assert 5 <= trio.current_time() - begun <= 6.5
        assert server.hub.open == 0


async def test_a_violation_is_answered_with_its_code(wire):
    async with wire.server() as server:
        client = await wire.dial(server.port)
        await client.send(wire.masked(TEXT, b"fine") + frame(TEXT, b"unmasked"))
        assert await client.receive_close() == (1002, "unmasked frame")
        assert await client.receive() is None
        await server.handler.until(lambda: server.handler.ended == [(1, 1002)])
        assert server.handler.received == [(TEXT, b"fine")]


async def test_vanishing_without_a_close_frame_is_1006(wire):
    async with wire.server() as server:
        client = await wire.dial(server.port)
        await client.stream.aclose()
        await server.handler.until(lambda: server.handler.ended == [(1, 1006)])
        assert server.hub.open == 0


async def test_a_handler_that_fails_ends_its_own_connection_only(wire, caplog):
    def fail(connection, opcode, payload):
        if payload == b"poison":
            raise ValueError(payload)
        wire.echoing(connection, opcode, payload)

    async with wire.server(fail) as server:
        poisoned, other = await wire.dial(server.port), await wire.dial(server.port)
        await poisoned.text("poison")
        assert await poisoned.receive_close() == (1011, "internal")
        await other.text("well")
        assert await other.receive() == (TEXT, b"well")
        assert server.handler.ended == [(1, 1011)]
    assert "handler failed" in caplog.text


async def test_a_paused_connection_is_not_read_and_resuming_loses_nothing(wire):
    def pause(connection, opcode, payload):
        connection.pause()

    async with wire.server(pause) as server:
        client, other = await wire.dial(server.port), await wire.dial(server.port)
        await client.text("first")
        await server.handler.until(lambda: bool(server.handler.received))
        await client.text("second")
        await other.text("sent after it")
        await server.handler.until(lambda: len(server.handler.received) == 2)
        assert server.handler.received == [(TEXT, b"first"), (TEXT, b"sent after it")]
        server.handler.connections[0].resume()
        await server.handler.until(lambda: len(server.handler.received) == 3)


async def test_closed_is_told_after_the_send_that_found_it_out(wire):
    """A fan-out loop walks over listeners: nobody may leave them while it does."""
    async with wire.server() as server:
        client = await wire.dial(server.port)
        connection = await server.handler.first()
        for _ in range(200):
            connection.outbox.send(bytes(65_000), text=False)
        assert connection.outbox.closed
        assert server.handler.ended == []
        await server.handler.until(lambda: server.handler.ended == [(1, 4408)])
        await client.stream.aclose()


async def test_a_reader_that_stops_is_cut_at_1_mib_with_4408_behind_a_whole_frame(wire):
    async with wire.server() as server:
        client = await wire.dial(server.port)
        connection = await server.handler.first()
        sent, most = 0, 0
        while not connection.outbox.closed:
            connection.outbox.send(bytes(10_000), text=False)
            sent += 1
            most = max(most, connection.outbox.buffered)
            await trio.lowlevel.checkpoint()
        assert 1_000_000 < most <= 1_048_576
        frames = []
        while (got := await client.receive())[0] != CLOSE:
            frames.append(got)
        assert set(frames) == {(BINARY, bytes(10_000))}
        assert len(frames) < sent
        assert got[1] == struct.pack("!H", 4408) + b"slow"


async def test_catching_up_waits_and_is_never_slow(wire):
    pages = 300

    async def page_out(connection):
        for nth in range(pages):
            connection.outbox.send(struct.pack("!I", nth) + bytes(50_000), text=False)
            await connection.outbox.wait_drained()
            assert connection.outbox.buffered < 65_536

    async with wire.server() as server, trio.open_nursery() as nursery:
        client = await wire.dial(server.port)
        nursery.start_soon(page_out, await server.handler.first())
        got = [struct.unpack_from("!I", (await client.receive())[1])[0] for _ in range(pages)]
        assert got == list(range(pages))
        assert not server.handler.connections[0].outbox.closed


async def test_a_socket_that_takes_nothing_for_10_s_is_cut_and_reset(wire, autojump_clock):
    async with wire.server() as server:
        client = await wire.dial(server.port)
        connection = await server.handler.first()
        while connection.outbox.buffered < 300_000:
            connection.outbox.send(bytes(50_000), text=False)
            await trio.lowlevel.checkpoint()
        begun = trio.current_time()
        await server.handler.until(lambda: server.handler.ended == [(1, 4408)])
        assert 10 <= trio.current_time() - begun <= 12
        while server.hub.open:
            await trio.sleep(0.5)
        assert trio.current_time() - begun <= 18
        await client.stream.aclose()


async def test_wait_drained_ends_when_the_connection_does(wire):
    async with wire.server() as server, trio.open_nursery() as nursery:
        client = await wire.dial(server.port)
        connection = await server.handler.first()
        while connection.outbox.buffered < 300_000:
            connection.outbox.send(bytes(50_000), text=False)
            await trio.lowlevel.checkpoint()
        nursery.start_soon(connection.outbox.wait_drained)
        await trio.testing.wait_all_tasks_blocked()
        await client.stream.aclose()


async def test_the_server_pings_and_closes_who_does_not_answer(wire, autojump_clock):
    async with wire.server(heartbeat_s=15) as server:
        client = await wire.dial(server.port)
        for _ in range(4):
            assert await client.receive() == (PING, b"")
            await client.frame(PONG, b"")
        assert 45 <= trio.current_time() <= 61
        last_answer = trio.current_time()
        assert await client.receive_close() == (4408, "slow")
        assert 30 <= trio.current_time() - last_answer <= 46
        assert server.handler.ended == [(1, 4408)]


async def test_draining_closes_everybody_in_batches(wire, autojump_clock):
    async with wire.server() as server, trio.open_nursery() as nursery:
        clients = [await wire.dial(server.port) for _ in range(5)]
        await server.handler.until(lambda: len(server.handler.connections) == 5)
        begun = trio.current_time()

        async def leave_politely(client):
            assert await client.receive_close() == (4400, "going_away")
            await client.frame(CLOSE, struct.pack("!H", 4400))
            assert await client.receive() is None
            await client.stream.aclose()

        for client in clients[:4]:
            nursery.start_soon(leave_politely, client)
        server.listener.stop_accepting()
        await server.hub.drain(at_once=2, pause_s=1.0, within_s=3.0)
        assert 2.0 <= trio.current_time() - begun <= 3.1
        assert server.hub.open == 0  # the fifth, which never answered, was reset
        await server.handler.until(lambda: len(server.handler.ended) == 5)
        assert {code for _, code in server.handler.ended} == {4400}
        with pytest.raises(OSError, match="connect"):
            await wire.dial(server.port)


async def test_who_comes_while_draining_is_sent_away(wire):
    async with wire.server() as server, trio.open_nursery() as nursery:
        staying = await wire.dial(server.port)
        nursery.start_soon(server.hub.drain)
        assert await staying.receive_close() == (4400, "going_away")
        late = await wire.dial(server.port)
        assert await late.receive_close() == (4400, "going_away")
        for client in (staying, late):
            await client.frame(CLOSE, struct.pack("!H", 4400))
            assert await client.receive() is None
            await client.stream.aclose()
        await server.handler.until(lambda: server.handler.ended == [(1, 4400)])
        assert len(server.handler.connections) == 1


async def test_cancelling_the_hub_tells_every_handler(wire):
    async with wire.server() as server:
        client = await wire.dial(server.port)
        await server.handler.first()
    assert server.handler.ended == [(1, 1006)]
    with pytest.raises(trio.BrokenResourceError):
        await client.receive()


class Memory:
    """A connection over a stream in memory, as TLS has it."""

    def __init__(self, wire, server, nursery):
        ours, theirs = trio.testing.lockstep_stream_pair()
        self.client = wire.client(ours)
        server.door.enter("memory", 0, 0.0)
        nursery.start_soon(server.hub.serve_stream, theirs, Upgrade("/ws", "caas.v1", {}, b"HTTP/1.1 101 \r\n\r\n"), "memory")


async def test_a_stream_is_served_like_a_socket(wire):
    async with wire.server(wire.echoing) as server, trio.open_nursery() as nursery:
        client = Memory(wire, server, nursery).client
        await client.head()
        await client.send(wire.masked(TEXT, b"a") + wire.masked(BINARY, b"b"))
        assert [await client.receive(), await client.receive()] == [(TEXT, b"a"), (BINARY, b"b")]
        await client.frame(CLOSE, struct.pack("!H", 1000))
        assert await client.receive_close() == (1000, "")
        await client.stream.aclose()
        await server.handler.until(lambda: server.handler.ended == [(1, 1000)])


async def test_a_stream_whose_reader_stops_is_cut_and_ended(wire, autojump_clock):
    async with wire.server() as server, trio.open_nursery() as nursery:
        client = Memory(wire, server, nursery).client
        await client.head()
        connection = await server.handler.first()
        while not connection.outbox.closed:
            connection.outbox.send(bytes(10_000), text=False)
            assert connection.outbox.buffered <= 1_048_576 + 10_004
            await trio.lowlevel.checkpoint()
        await server.handler.until(lambda: server.handler.ended == [(1, 4408)])
        while server.hub.open:
            await trio.sleep(1)
        assert trio.current_time() < 8


async def test_a_slow_stream_that_reads_on_gets_whole_frames_and_4408(wire, autojump_clock):
    async with wire.server() as server, trio.open_nursery() as nursery:
        client = Memory(wire, server, nursery).client
        await client.head()
        connection = await server.handler.first()
        while not connection.outbox.closed:
            connection.outbox.send(bytes(10_000), text=False)
            await trio.lowlevel.checkpoint()
        frames = []
        while (got := await client.receive())[0] != CLOSE:
            frames.append(got)
        assert frames == [(BINARY, bytes(10_000))] * len(frames)
        assert got[1] == struct.pack("!H", 4408) + b"slow"
        await client.stream.aclose()


async def test_a_stream_can_be_paused_and_drained(wire):
    def pause(connection, opcode, payload):
        connection.pause()

    async with wire.server(pause) as server, trio.open_nursery() as nursery:
        client = Memory(wire, server, nursery).client
        await client.head()

        async def say_two_things():
            await client.text("first")
            await client.text("second")

        nursery.start_soon(say_two_things)
        await trio.testing.wait_all_tasks_blocked()
        connection = server.handler.connections[0]
        assert server.handler.received == [(TEXT, b"first")]
        connection.resume()
        await server.handler.until(lambda: len(server.handler.received) == 2)
        connection.outbox.send(bytes(100_000), text=False)
        nursery.start_soon(connection.outbox.wait_drained)
        assert await client.receive() == (BINARY, bytes(100_000))
        await client.stream.aclose()
        connection.resume()  # who is not read is not heard hanging up


async def test_a_stream_that_takes_nothing_for_10_s_is_slow_and_one_that_takes_a_little_is_not(wire, autojump_clock):
    async with wire.server() as server, trio.open_nursery() as nursery:
        client = Memory(wire, server, nursery).client
        await client.head()
        (await server.handler.first()).outbox.send(bytes(65_000), text=False)
        for _ in range(3):
            await trio.sleep(9)
            assert len(await client.stream.receive_some()) == 16_384
        begun = trio.current_time()
        await server.handler.until(lambda: server.handler.ended == [(1, 4408)])
        assert 9.9 <= trio.current_time() - begun <= 10.1


async def test_a_stream_that_never_answers_our_close_is_ended_after_5_s(wire, autojump_clock):
    async with wire.server() as server, trio.open_nursery() as nursery:
        client = Memory(wire, server, nursery).client
        await client.head()
        (await server.handler.first()).outbox.close(4001, "stop")
        assert await client.receive_close() == (4001, "stop")
        begun = trio.current_time()
        assert await client.receive() is None
        assert 4.5 <= trio.current_time() - begun <= 7
