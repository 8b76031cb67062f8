"""Counters: numbers that many may move at once. Never the only copy of anything that matters."""

from collections.abc import Sequence
from typing import Protocol

from storage.ports.scope import Tenanted


class Counters(Protocol):
    """Four methods; amounts are integers."""

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
