"""Reading in slices: others have their turn between them, and nobody waits for many of those."""

import socket
from itertools import count

from tests.transport.conftest import Recorder, masked
from transport.door import UNLIMITED, Door
from transport.websocket.frames import BINARY
from transport.websocket.handshake import Upgrade
from transport.websocket.hub import Hub

CLIENTS = 200


def ticking():
    """A clock that a read takes a millisecond of."""
    ticks = count()
    return lambda: next(ticks) / 1_000


async def test_slices_grow_while_somebody_waits_and_begin_short_with_the_next_poll():
    handler = Recorder()
    hub = Hub(handler, Door(UNLIMITED))
    theirs = []
    for _ in range(CLIENTS):
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        assert hub.door.enter("peer", 0, 0.0)
        hub.adopt(ours, Upgrade("/ws", "caas.v1", {}, b""), "peer")
        theirs.append(peer)
    now = ticking()
    try:
        for _ in range(2):
            for peer in theirs:
                peer.sendall(masked(BINARY, b"x"))
            read = []
            while hub.poller._work(now):
                read.append(len(handler.received))
                handler.received.clear()
            assert sum(read) == CLIENTS
            assert read[0] <= 3
            assert read[:5] == sorted(set(read[:5]))
            assert max(read) <= 66
            assert len(read) <= 9
    finally:
        for connection in handler.connections:
            connection.reset()
        for peer in theirs:
            peer.close()
        hub.poller.close()
