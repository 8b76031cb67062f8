"""Time and chance that the test decides: what all tests share of a simulated world."""

import random

import trio

T0 = 1_700_000_000_000
"""When the virtual clock's time begins, in ms since 1970."""


class Seeded:
    """The port protocol.world.Rng, the same for the same seed."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def bytes(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def random(self) -> float:
        return self._random.random()


class TrioClock:
    """Wall time that goes with trio's."""

    def now_ms(self) -> int:
        return T0 + int(trio.current_time() * 1000)


class HandClock:
    """Wall time that stands still until it is moved."""

    def __init__(self) -> None:
        self.ms = 1_790_000_000_000

    def now_ms(self) -> int:
        return self.ms
