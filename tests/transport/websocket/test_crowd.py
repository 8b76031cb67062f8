"""Fan-out to crowds: everybody gets everything once, in order, whatever it is sent by itself meanwhile and however slowly it reads."""

import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transport.conftest import Recorder
from transport.door import UNLIMITED, Door
from transport.websocket import flusher
from transport.websocket.frames import BINARY, CLOSE, close_payload, frame
from transport.websocket.handshake import Upgrade
from transport.websocket.hub import Hub

UPGRADE = Upgrade("/ws", "caas.v1", {}, b"hello;")


class Peer:
    """The other end of a connection, and what it has been told."""

    def __init__(self, hub: Hub, room: int = 0) -> None:
        ours, self.sock = socket.socketpair()
        for end in (ours, self.sock):
            end.setblocking(False)
        if room:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        assert hub.door.enter("peer", 0, 0.0)
        hub.adopt(ours, UPGRADE, "peer")
        self.connection = hub.handler.connections[-1]
        self.outbox = self.connection.outbox
        self.expected = b"hello;"
        self.got = b""

    def read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := self.sock.recv(65_536):
                self.got += data


@contextlib.asynccontextmanager
async def still_hub(count: int, room: int = 0) -> AsyncIterator[tuple[Hub, list[Peer]]]:
    """A hub that sends when it is told to, with so many connections."""
    hub = Hub(Recorder(), Door(UNLIMITED))
    peers = [Peer(hub, room) for _ in range(count)]
    try:
        yield hub, peers
    finally:
        for peer in peers:
            peer.connection.reset()
            peer.sock.close()
        hub.poller.close()


def settle(hub: Hub, peers: list[Peer]) -> None:
    """Until nothing is left to send."""
    while hub.flusher.batches or any(not peer.outbox.closed and peer.outbox.buffered for peer in peers):
        hub.flusher.flush()
        for peer in peers:
            peer.read()
            if peer.outbox.buffered and not peer.outbox._pending:
                peer.outbox.writable()
    hub.flusher.flush()
    for peer in peers:
        peer.read()


CROWDS = ((0, 1, 2, 3, 4, 5, 6), (2, 3, 4), (6, 5, 4, 3))
SIZES = st.integers(1, 20_000)
STEPS = st.one_of(
    st.tuples(st.just("crowd"), st.integers(0, 2), SIZES), st.tuples(st.just("one"), st.integers(0, 6), SIZES),
    st.tuples(st.just("flush"), st.integers(1, 4), st.just(0)), st.tuples(st.sampled_from(("read", "leave")), st.integers(0, 6), st.just(0)))


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=40))
async def test_each_gets_what_it_was_sent_in_order(steps):
    async with still_hub(7, room=4_096) as (hub, peers):
        crowds = [hub.crowd([peers[place].outbox for place in places]) for places in CROWDS]
        order: dict[tuple[int, int], list[bytes]] = {}
        for number, (what, which, size) in enumerate(steps):
            wire = b"%d:" % number + b"x" * size + b";"
            if what == "crowd":
                crowds[which].send_frames(wire)
                for place in CROWDS[which]:
                    order.setdefault((place, which), []).append(wire)
            elif what == "one":
                peers[which].outbox.send_frames(wire)
                order.setdefault((which, -1), []).append(wire)
            elif what == "flush":
                hub.flusher._flush_batches(which)
            elif what == "leave":
                peers[which].outbox.flush()
            else:
                peers[which].read()
        settle(hub, peers)
        for place, peer in enumerate(peers):
            took = [part + b";" for part in peer.got.split(b";")[1:-1]]
            sent = {source: wires for (to, source), wires in order.items() if to == place}
            assert sorted(took) == sorted(wire for wires in sent.values() for wire in wires)
            for wires in sent.values():
                assert [wire for wire in took if wire in wires] == wires


async def test_what_one_is_sent_by_itself_keeps_its_place_among_what_the_crowd_is_sent():
    async with still_hub(40) as (hub, peers):
        hub.flusher.flush()
        crowd = hub.crowd([peer.outbox for peer in peers])
        crowd.send_frames(b"1")
        peers[7].outbox.send_frames(b"own")
        crowd.send_frames(b"2")
        peers[8].outbox.send_frames(b"own")
        settle(hub, peers)
        assert [peers[place].got for place in (6, 7, 8, 9)] == [b"hello;12", b"hello;1own2", b"hello;12own", b"hello;12"]


async def test_a_big_crowd_is_served_in_slices_and_whoever_is_still_to_come_keeps_the_order():
    async with still_hub(3 * flusher._AT_ONCE) as (hub, peers):
        settle(hub, peers)
        crowd = hub.crowd([peer.outbox for peer in peers])
        crowd.send_frames(b"1")
        hub.flusher.flush()
        peers[0].outbox.send_frames(b"a")
        peers[-1].outbox.send_frames(b"a")
        crowd.send_frames(b"2")
        hub.flusher.flush()
        peers[0].read()
        peers[-1].read()
        assert (peers[0].got, peers[-1].got) == (b"hello;1a", b"hello;1a")
        settle(hub, peers)
        assert {peer.got for peer in peers[1:-1]} == {b"hello;12"}
        assert (peers[0].got, peers[-1].got) == (b"hello;1a2", b"hello;1a2")


async def test_too_much_at_once_leaves_at_once():
    async with still_hub(3) as (hub, peers):
        settle(hub, peers)
        crowd = hub.crowd([peer.outbox for peer in peers])
        wire = bytes(hub.flusher.most_gathered // 8)
        for _ in range(9):
            crowd.send_frames(wire)
        assert not hub.flusher.batches
        assert all(peer.outbox.buffered for peer in peers)  # a socket takes less than that
        settle(hub, peers)
        assert {peer.got for peer in peers} == {b"hello;" + wire * 9}


async def test_who_reads_nothing_is_slow_and_the_others_have_everything():
    async with still_hub(3) as (hub, peers):
        settle(hub, peers)
        crowd = hub.crowd([peer.outbox for peer in peers])
        wire = bytes(200_000)
        for _ in range(10):
            crowd.send_frames(wire)
            while hub.flusher.batches or any(peer.outbox.buffered for peer in peers[1:]):
                hub.flusher.flush()
                for peer in peers[1:]:
                    peer.read()
                    peer.outbox.writable()
        assert [peer.outbox.closed for peer in peers] == [True, False, False]
        assert {peer.got for peer in peers[1:]} == {b"hello;" + wire * 10}
        while peers[0].outbox.buffered:
            peers[0].read()
            peers[0].outbox.writable()
        peers[0].read()
        assert peers[0].got.endswith(frame(CLOSE, close_payload(4408, "slow")))
        assert len(peers[0].got) < len(peers[1].got)


async def test_who_is_closed_or_gone_gets_nothing_more():
    async with still_hub(4) as (hub, peers):
        settle(hub, peers)
        crowd = hub.crowd([peer.outbox for peer in peers])
        crowd.send_frames(b"1")
        peers[0].outbox.close(4001, "enough")
        peers[1].sock.close()
        peers[2].connection.reset()
        crowd.send_frames(b"2")
        settle(hub, [peers[0], peers[3]])
        assert peers[0].got == b"hello;1" + frame(CLOSE, close_payload(4001, "enough"))
        assert peers[3].got == b"hello;12"
        assert peers[1].connection.gone
        assert peers[2].connection.gone


@pytest.mark.parametrize("count", [1, 40])
async def test_a_crowd_over_the_wire(wire, count):
    async with wire.server() as server:
        clients = [await wire.dial(server.port) for _ in range(count)]
        await server.handler.until(lambda: len(server.handler.connections) == count)
        crowd = server.hub.crowd([connection.outbox for connection in server.handler.connections])
        for text in (b"one", b"two"):
            crowd.send_frames(frame(BINARY, text))
        for client in clients:
            assert [await client.receive(), await client.receive()] == [(BINARY, b"one"), (BINARY, b"two")]


async def test_streams_belong_to_crowds_too(wire):
    async with wire.server() as server, trio.open_nursery() as nursery:
        theirs, ours = trio.testing.memory_stream_pair()
        assert server.door.enter("peer", 0, 0.0)
        nursery.start_soon(server.hub.serve_stream, ours, UPGRADE, "peer")
        connection = await server.handler.first()
        server.hub.crowd([connection.outbox]).send_frames(b"news")
        got = b""
        while len(got) < len(b"hello;news"):
            got += await theirs.receive_some(100)
        assert got == b"hello;news"
        await theirs.aclose()
