"""Fan-out to many outboxes at once: what one tick has for all of them is joined once, and each is sent it straight away."""

from typing import TYPE_CHECKING

from transport.websocket.native import FAILED, NOT_IDLE, offer_all

if TYPE_CHECKING:
    from transport.websocket.flusher import Flusher
    from transport.websocket.outbox import Outbox


class Batch:
    """What one tick has for a crowd. Those who are sent something of their own meanwhile are handed it first, and are apart from then on."""

    __slots__ = ("_apart", "_at", "_outboxes", "_places", "_size", "_wire", "_wires", "sealed")

    def __init__(self, outboxes: "list[Outbox]", places: "dict[Outbox, int]") -> None:
        self._outboxes, self._places = outboxes, places
        self._wires: list[bytes] = []
        self._wire = b""
        self._size = 0
        self._at = 0  # the place of who is next
        self._apart: set[Outbox] = set()
        self.sealed = False
        """It is on its way: what comes now goes into another."""

    def add(self, wire: bytes) -> int:
        """Whole frames, behind those that are here; the bytes together."""
        self._wires.append(wire)
        self._size += len(wire)
        for outbox in self._apart:
            outbox.gather(wire)
        return self._size

    def part(self, outbox: "Outbox") -> None:
        """Hand it now what it would have been sent, so that what it is sent next comes behind that."""
        if self._places.get(outbox, -1) >= self._at and outbox not in self._apart:
            self._apart.add(outbox)
            self._gather(outbox)

    @property
    def done(self) -> bool:
        """Everybody has had it."""
        return self._at == len(self._outboxes)

    def flush(self, most: int) -> int:
        """Send to so many at most; to how many it was."""
        if not self.sealed:
            self.sealed = True
            self._wire = self._wires[0] if len(self._wires) == 1 else b"".join(self._wires)
        start = self._at
        self._at = min(start + most, len(self._outboxes))
        self._spread(start, self._at)
        return self._at - start

    def _spread(self, start: int, stop: int) -> None:
        """To each socket that stands idle the same bytes; the rest in the ordinary way."""
        for place, taken in offer_all(self._outboxes, start, stop, self._apart, self._wire):
            outbox = self._outboxes[place]
            if taken == NOT_IDLE:
                self._gather(outbox)
            elif taken == FAILED:
                outbox.failed()
            else:
                outbox.keep(self._wires, taken)

    def _gather(self, outbox: "Outbox") -> None:
        for wire in self._wires:
            outbox.gather(wire)


class Crowd:
    """Outboxes that are handed the same bytes. Who belongs to it never changes: for others, make another."""

    __slots__ = ("_batch", "_flusher", "_outboxes", "_places")

    def __init__(self, flusher: "Flusher", outboxes: "list[Outbox]") -> None:
        self._flusher = flusher
        self._outboxes = outboxes
        self._places = {outbox: place for place, outbox in enumerate(outboxes)}
        self._batch: Batch | None = None

    def send_frames(self, wire: bytes) -> None:
        """Whole frames, to each of them. Never waits, never fails: as with an outbox."""
        batch = self._batch
        if batch is None or batch.sealed:
            batch = self._batch = Batch(self._outboxes, self._places)
            self._flusher.add_batch(batch)
        if batch.add(wire) > self._flusher.most_gathered:
            self._flusher.flush_batches()
