"""One client's WebSocket, whatever carries it: messages to the handler, pings answered, the close handshake done properly."""

from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from transport.websocket.frames import ABNORMAL, BINARY, BROKEN, CLOSE, NO_STATUS, PING, PONG, Event, close_code, close_payload, frame
from transport.websocket.outbox import Outbox
from transport.websocket.reader import INVALID_TEXT, FrameReader

if TYPE_CHECKING:
    from transport.websocket.handshake import Upgrade
    from transport.websocket.hub import Hub

CLOSING_S: Final = 5.0
"""For the peer's close frame after ours, and for it to hang up; then the connection is reset."""
PINGS: Final = 10
PINGS_S: Final = 10.0
"""More than PINGS pings (or unasked pongs) in PINGS_S seconds: closed with 4429."""
FRAMES_A_SECOND: Final = 200
FRAMES_AT_ONCE: Final = 1_000
"""A connection may have saved up so many frames; whoever sends more is closed with 4429. A batch is one frame, each fragment one more."""
_FRAMES_IN_HAND: Final = 100

TOO_MANY: Final = 4429
INTERNAL: Final = 1011


class Handler(Protocol):
    """Whoever the messages are for. Plain calls from the reader's loop: what must wait does so in a task of its own."""

    def opened(self, connection: "Connection") -> Any:
        """A handshake was accepted. What this returns is `connection.state`."""
        ...

    def messages(self, connection: "Connection", batch: list[Event]) -> None:
        """What one read brought, in order: (TEXT or BINARY, payload). At most 64 KiB and one message more."""
        ...

    def closed(self, connection: "Connection", code: int) -> None:
        """Said once, never from inside a send: no more messages come, and what is sent is dropped.

        `code` is of whoever closed first; 1005 the peer named none, 1006 it vanished.
        """
        ...


_OPEN, _CLOSING, _LEAVING, _GONE = range(4)


class Connection:
    """What the handler holds. `state` is its own; the rest it only reads."""

    __slots__ = ("_hub", "_in_hand", "_newcomer", "_phase", "_pings", "_pings_since", "_reader", "_saved", "_saved_at", "_told", "headers",
                 "id", "outbox", "paused", "peer", "slot", "state", "subprotocol", "unanswered")  # fmt: skip

    outbox: Outbox

    def __init__(self, hub: "Hub", upgrade: "Upgrade", peer: str) -> None:
        self._hub = hub
        self._reader = FrameReader(hub.max_message, hub.max_fragments)
        self._phase = _OPEN
        self._told = False  # the handler knows that it ended
        self._newcomer = True
        self._in_hand = 0  # frames that it may send before anybody looks at the clock
        self._saved = hub.frames_at_once  # frames that it may send besides, as of...
        self._saved_at = 0.0
        self._pings = 0
        self._pings_since = 0.0
        self.id = hub.next_id()
        """Counts up from 1 in each process."""
        self.peer = peer
        """The address it came from, without the port."""
        self.subprotocol = upgrade.subprotocol
        self.headers = upgrade.headers
        """`origin` and `user-agent` of the handshake, where sent."""
        self.state: Any = None
        self.paused = False
        self.slot = 0
        """Which beat of the sweeper it is pinged at."""
        self.unanswered = 0
        """Pings of ours since the last pong."""

    @property
    def binary(self) -> bool:
        """Whether the subprotocol speaks in binary frames."""
        return self.subprotocol != "caas.v1.json"

    @property
    def _speaks(self) -> bool:
        """A protocol of ours is spoken here: what it cannot decode closes as it says, not as RFC 6455 does."""
        return self._hub.spoken is not None

    @property
    def gone(self) -> bool:
        """The socket is closed."""
        return self._phase == _GONE

    def admitted(self) -> None:
        """The handler knows who this is: it counts no longer among the strangers that the listener bounds."""
        if self._newcomer:
            self._newcomer = False
            self._hub.door.admitted(self.peer)

    def pause(self) -> None:
        """Read no more for now: the peer is held back by TCP."""
        if not self.paused and self._phase == _OPEN:
            self.paused = True
            self._read_on(False)

    def resume(self) -> None:
        """Read again."""
        if self.paused:
            self.paused = False
            if self._phase != _GONE:
                self._read_on(True)

    def begin(self, rest: bytes) -> None:
        """Introduce it to the handler; `rest` came behind the handshake."""
        try:
            self.state = self._hub.handler.opened(self)
        except Exception as error:  # noqa: BLE001 - as in _deliver
            self._hub.crashed(self, error)
            self.refuse(INTERNAL, "internal")
        if rest:
            self.received(rest)

    def refuse(self, code: int, reason: str) -> None:
        """Close it before the handler has ever seen it."""
        self._told = True
        self.outbox.close(code, reason)

    def received(self, data: bytes) -> None:
        """Bytes from the peer."""
        reader = self._reader
        events = reader.feed(data)
        self._in_hand -= len(events)
        if reader.attention:
            self._in_hand -= reader.continued
            reader.continued = 0
        if self._in_hand < 0:
            self._take_in_hand()
        if reader.attention:
            self._attend(events)
        elif events:
            self._deliver(events)

    def lost(self) -> None:
        """The peer hung up, or the socket failed."""
        self._leave(ABNORMAL, reset=False)

    def reset(self) -> None:
        """End it now, with whatever is on its way lost."""
        self._leave(ABNORMAL, reset=True)

    def ping(self) -> None:
        """The sweeper's beat."""
        self.unanswered += 1
        self.outbox.send_frames(_PING)

    def closing(self, code: int) -> None:
        """The outbox has queued our close frame."""
        if self._phase == _OPEN:
            self._phase = _CLOSING
            self._hub.closing[self] = trio.current_time() + CLOSING_S
            self._tell(code)
            if self.paused:
                self.resume()

    def emptied(self) -> None:
        """The outbox is closed and everything has left."""
        if self._phase == _LEAVING:
            self._half_close()

    def want_writable(self, wanted: bool) -> None:
        """Whether to be told when the socket has room."""
        raise NotImplementedError

    def _read_on(self, wanted: bool) -> None:
        raise NotImplementedError

    def _half_close(self) -> None:
        """Say that no more comes; the peer hangs up, or the deadline of the closing ends it."""
        raise NotImplementedError

    def _release(self, *, reset: bool) -> None:
        raise NotImplementedError

    def _deliver(self, batch: list[Event]) -> None:
        if self._phase != _OPEN or not batch:
            return
        try:
            self._hub.handler.messages(self, batch)
        except Exception as error:  # noqa: BLE001 - here a connection's life ends, and only its own
            self._hub.crashed(self, error)
            self.outbox.close(INTERNAL, "internal")

    def _attend(self, events: list[Event]) -> None:
        """Messages with control frames among them, in order."""
        batch: list[Event] = []
        for event in events:
            if event[0] <= BINARY:
                batch.append(event)
                continue
            self._deliver(batch)
            batch = []
            self._control(*event)
        self._deliver(batch)

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self._peer_closed(payload)
        elif opcode == BROKEN:
            self._finish(_BAD_FRAME if self._speaks and close_code(payload) == INVALID_TEXT else payload)
        elif opcode == PONG and self.unanswered:
            self.unanswered = 0
        elif self._within_budget() and opcode == PING:
            self.outbox.send_frames(frame(PONG, payload))

    def _take_in_hand(self) -> None:
        """A hundred frames at a time are taken from what was saved up, so that a read costs a subtraction and a comparison."""
        now = trio.current_time()
        saved = min(self._hub.frames_at_once, self._saved + (now - self._saved_at) * FRAMES_A_SECOND) + self._in_hand
        if saved < 0:
            self.outbox.close(TOO_MANY, "too_many")
        self._in_hand = int(min(max(saved, 0), _FRAMES_IN_HAND))
        self._saved, self._saved_at = saved - self._in_hand, now

    def _within_budget(self) -> bool:
        now = trio.current_time()
        if now - self._pings_since >= PINGS_S:
            self._pings, self._pings_since = 0, now
        self._pings += 1
        if self._pings > PINGS:
            self.outbox.close(TOO_MANY, "too_many")
            return False
        return True

    def _peer_closed(self, payload: bytes) -> None:
        code = close_code(payload)
        self._tell(code)
        self._finish(close_payload(code) if code != NO_STATUS else b"")

    def _finish(self, payload: bytes) -> None:
        """Nothing more is heard: say the last word if it is not said, and hang up when it has left."""
        self.outbox.close_with(payload)
        if self._phase != _GONE:
            self._phase = _LEAVING
            if not self.outbox.buffered:
                self._half_close()

    def _leave(self, code: int, *, reset: bool) -> None:
        if self._phase == _GONE:
            return
        self._phase = _GONE
        self._release(reset=reset)
        self.outbox.drop()
        self._tell(code)
        self._hub.forget(self, newcomer=self._newcomer)

    def _tell(self, code: int) -> None:
        if not self._told:
            self._told = True
            self._hub.flusher.end(self, code)


_PING = frame(PING, b"")
_BAD_FRAME = close_payload(4500, "bad_frame")
