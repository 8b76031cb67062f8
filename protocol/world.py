"""The world as the program sees it: time and chance, handed in by whoever starts the program.

Nothing below `caas/` reads a clock, draws a random number or makes an id by itself: it is given these. A simulated world
(virtual clock, seeded chance) then runs the very same code.
"""

from typing import Protocol


class Clock(Protocol):
    """Wall time. For waiting and for deadlines use trio's own clock, which a test can replace."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC. May jump, either way: nothing that decides rests on it."""
        ...


class Rng(Protocol):
    """Chance. In the real program it is the operating system's cryptographic generator."""

    def bytes(self, size: int) -> bytes:
        """`size` random bytes, fit for keys and nonces."""
        ...

    def random(self) -> float:
        """A number in [0, 1), for jitter."""
        ...


class Ids(Protocol):
    """New ids."""

    def uuid7(self) -> bytes:
        """A fresh UUIDv7, 16 bytes, made of the clock and chance (RFC 9562, section 5.7)."""
        ...
