"""Counters in memory."""

from collections.abc import Mapping, Sequence

import trio

from storage.memory.store import Store
from storage.ports.errors import StorageAway
from storage.ports.scope import Tenanted


class MemoryCounters:
    """The port Counters."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = False
        """For tests: whether they cannot be reached from this node."""

    async def add(self, scope: Tenanted, name: str, amount: int = 1) -> int:
        """See the port."""
        await self._reach()
        key = (scope.tenant, name)
        value = self._store.numbers[key] = self._store.numbers.get(key, 0) + amount
        return value

    async def read(self, scope: Tenanted, names: Sequence[str]) -> list[int]:
        """See the port."""
        await self._reach()
        return [self._store.numbers.get((scope.tenant, name), 0) for name in names]

    async def take(self, scope: Tenanted, name: str, amount: int, most: int, window_ms: int, now_ms: int) -> int:
        """See the port."""
        await self._reach()
        key, number = (scope.tenant, name), now_ms // window_ms
        current, used = self._store.windows.get(key, (number, 0))
        if number > current:
            current, used = number, 0
        had = max(0, min(amount, most - used))
        self._store.windows[key] = current, used + had
        return had

    async def lease(self, scope: Tenanted, name: str, holder: str, ttl_ms: int, now_ms: int) -> bool:
        """See the port."""
        await self._reach()
        owner, until = self._store.leases.get((scope.tenant, name), (holder, 0))
        if owner != holder and until > now_ms:
            return False
        self._store.leases[scope.tenant, name] = holder, now_ms + ttl_ms
        return True

    async def renew(self, holder: str, ttl_ms: int, now_ms: int) -> bool:
        """See the port."""
        await self._reach()
        lived = self._store.lives.get(holder, 0) > now_ms
        self._store.lives[holder] = now_ms + ttl_ms
        return lived

    async def mark(self, scope: Tenanted, holder: str, marks: Mapping[str, int]) -> None:
        """See the port."""
        await self._reach()
        for name, value in marks.items():
            held = self._store.marks.setdefault((scope.tenant, name), {})
            held[holder] = value
            if not value:
                del held[holder]

    async def marks(self, scope: Tenanted, names: Sequence[str], now_ms: int) -> list[dict[str, int]]:
        """See the port."""
        await self._reach()
        found = [self._store.marks.get((scope.tenant, name), {}) for name in names]
        return [{holder: value for holder, value in marks.items() if self._store.lives.get(holder, 0) > now_ms} for marks in found]

    async def _reach(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.away:
            raise StorageAway("the simulated counters are away")
