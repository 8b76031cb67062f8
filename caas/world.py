"""The real world: the machine's clock and its chance."""

import os
import random
import time

from protocol.ids import make_uuid7
from protocol.world import Clock, Rng

_POOL = 4_096


class SystemClock:
    """Wall time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000


class SystemRng:
    """The operating system's generator."""

    def __init__(self) -> None:
        self._pool, self._at = b"", 0  # drawn in bulk: a call for each message costs more than the message's cipher
        self._jitter = random.Random()  # noqa: S311 - for jitter, not for keys

    def bytes(self, size: int) -> bytes:
        """For keys and nonces. Each byte is given once."""
        if size > _POOL:
            return os.urandom(size)
        if self._at + size > len(self._pool):
            self._pool, self._at = os.urandom(_POOL), 0
        drawn, self._at = self._pool[self._at : self._at + size], self._at + size
        return drawn

    def random(self) -> float:
        """For jitter."""
        return self._jitter.random()


class SystemIds:
    """Ids of the two."""

    def __init__(self, clock: Clock, rng: Rng) -> None:
        self._clock, self._rng = clock, rng

    def uuid7(self) -> bytes:
        """A fresh UUIDv7."""
        return make_uuid7(self._clock.now_ms(), self._rng.bytes(10))


class SystemWorld:
    """Time, chance and ids of the real world."""

    def __init__(self) -> None:
        self.clock, self.rng = SystemClock(), SystemRng()
        self.ids = SystemIds(self.clock, self.rng)
