"""Pushes kept ready: the latest of each conversation that is followed on this worker, encoded, for whoever missed some of them.

They are just what was passed on to those who watch, so whoever reads them here needs no storage, no key and no rendering. A deletion makes
the earlier ones of its conversation untrue, and an erased key those of all: then they are dropped, and read from storage again.
"""

from collections.abc import Sequence

MOST_ENTRIES = 512
"""Pushes of one conversation."""
MOST_BYTES = 256 * 1024
"""Bytes of one conversation."""
MOST_IN_ALL = 64 * 1024 * 1024
"""Bytes of a worker; beyond it, the conversation that began first is forgotten."""
DELETED = b"\xa1t\xafmessage.deleted"
"""How the push of a deletion begins, behind the byte that says how many fields it has."""

Place = tuple[str, str]
"""Tenant and conversation."""


class Kept:
    """The latest of one conversation, dense, ending at `last`."""

    __slots__ = ("bytes", "last", "pushes")

    def __init__(self, last: int) -> None:
        self.last, self.bytes = last, 0
        self.pushes: list[bytes] = []  # a deque takes 0.7 KB, and most keep one or two

    @property
    def first(self) -> int:
        """The seq of the first; where none is kept, the next."""
        return self.last - len(self.pushes) + 1

    def after(self, seq: int, most: int) -> list[bytes]:
        """Those that follow a seq at once, `most` at most."""
        begin = len(self.pushes) - (self.last - seq)
        return self.pushes[begin : begin + most] if begin >= 0 else []


class Ready:
    """All that is kept on a worker."""

    def __init__(self, most: int = MOST_IN_ALL) -> None:
        self._most, self.bytes = most, 0
        self.dropped = 0
        """How often something was forgotten: what was read from storage before that may not be true any more."""
        self._kept: dict[Place, Kept] = {}

    def put(self, place: Place, seq: int, push: bytes) -> None:
        """The next push of a conversation, as it is told to those who watch."""
        kept = self._kept.get(place)
        if kept is None or kept.last != seq - 1 or push.startswith(DELETED, 1):
            self.forget(place)
            kept = self._kept[place] = Kept(seq - 1)
        kept.last = seq
        kept.pushes.append(push)
        kept.bytes += len(push)
        self.bytes += len(push)
        while kept.bytes > MOST_BYTES or len(kept.pushes) > MOST_ENTRIES:
            self._drop_first(kept)
        while self.bytes > self._most:
            self.forget(next(iter(self._kept)))

    def after(self, place: Place, seq: int, last: int, most: int) -> list[bytes]:
        """The pushes that follow `seq`, without a hole, up to `last` and `most` at most: as many as are here, maybe none."""
        kept = self._kept.get(place)
        return kept.after(seq, min(most, last - seq)) if kept is not None and last > seq else []

    def whole(self, place: Place, seq: int, last: int, most: int) -> list[bytes] | None:
        """The same for whoever knows that the conversation has come to `last`: nothing where some are missing, or where this worker has been
        told less. It might have been told of a deletion by then."""
        kept = self._kept.get(place)
        if kept is None or kept.last < last:
            return None
        found = self.after(place, seq, last, most)
        return found if len(found) == min(most, last - seq) else None

    def fill(self, place: Place, first: int, pushes: Sequence[bytes], dropped: int) -> None:
        """What was read from storage since `dropped` was as it is, with its first seq: kept, where it adjoins what is kept, or where nothing is."""
        if dropped != self.dropped or not pushes:
            return
        kept = self._kept.setdefault(place, Kept(first + len(pushes) - 1))
        if kept.last == first - 1:
            for seq, push in enumerate(pushes, first):
                self.put(place, seq, push)
        if kept.first != first + len(pushes):
            return
        taken = len(pushes)
        while taken and self._has_room(kept, len(pushes) - taken, pushes[taken - 1]):
            taken -= 1
            kept.bytes += len(pushes[taken])
            self.bytes += len(pushes[taken])
        kept.pushes[:0] = pushes[taken:]

    def forget(self, place: Place) -> None:
        """Nobody follows it here any more, or what was kept is not true any more."""
        self.dropped += 1
        kept = self._kept.pop(place, None)
        if kept is not None:
            self.bytes -= kept.bytes

    def clear(self) -> None:
        """Forget all."""
        self.dropped += 1
        self._kept.clear()
        self.bytes = 0

    def _has_room(self, kept: Kept, more: int, push: bytes) -> bool:
        return len(kept.pushes) + more < MOST_ENTRIES and kept.bytes + len(push) <= MOST_BYTES and self.bytes + len(push) <= self._most

    def _drop_first(self, kept: Kept) -> None:
        size = len(kept.pushes.pop(0))
        kept.bytes -= size
        self.bytes -= size
