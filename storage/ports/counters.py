"""Counters: numbers that many may move at once. Never the only copy of anything that matters."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from storage.ports.scope import Tenanted


class Counters(Protocol):
    """Seven methods; amounts are integers. Each raises StorageAway when it cannot be reached; but a backend whose counters are another
    server's keeps allowances by itself meanwhile (`take` then gives each node the whole of them), and lets nobody hold a lease."""

    async def add(self, scope: Tenanted, name: str, amount: int = 1) -> int:
        """Add, and give the new value."""
        ...

    async def read(self, scope: Tenanted, names: Sequence[str]) -> list[int]:
        """Values, 0 for what was never counted."""
        ...

    async def take(self, scope: Tenanted, name: str, amount: int, most: int, window_ms: int, now_ms: int) -> int:
        """Take up to `amount` from an allowance of `most` in each window of `window_ms`; how much was had (0: none left)."""
        ...

    async def lease(self, scope: Tenanted, name: str, holder: str, ttl_ms: int, now_ms: int) -> bool:
        """Hold a name for a while: True if nobody else holds it at `now_ms` (one's own lease is renewed)."""
        ...

    # What holds while somebody lives: which connections a user has, what a program knows. A *holder* is one life of one worker.

    async def renew(self, holder: str, ttl_ms: int, now_ms: int) -> bool:
        """Say that a holder lives for so long from now. False when it was not known to live: it is new, its time was over, or everything
        was lost; then none of its marks can be relied upon to be there, and it makes them anew."""
        ...

    async def mark(self, scope: Tenanted, holder: str, marks: Mapping[str, int]) -> None:
        """Under each of these names the holder's mark is this from now on; 0 takes it away. All in one write."""
        ...

    async def marks(self, scope: Tenanted, names: Sequence[str], now_ms: int) -> list[dict[str, int]]:
        """Of each name, the marks by holder, of those who live at `now_ms` alone, in one read. A holder that never lived has none."""
        ...
