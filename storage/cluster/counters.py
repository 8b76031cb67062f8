"""Counters in Redis, each a script, so that many nodes may count at once. Without Redis allowances are kept by each node for itself: a limit
may then be had once a node, and is never lifted.
"""

from collections.abc import Sequence

from storage.cluster.redis import Call, Redis, Script
from storage.ports.errors import StorageAway
from storage.ports.scope import Tenanted

_TAKE = Script("""
local kept = redis.call('HMGET', KEYS[1], 'window', 'used')
local amount, most, number = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local current, used = tonumber(kept[1] or number), tonumber(kept[2] or 0)
if number > current then current, used = number, 0 end
local had = math.max(0, math.min(amount, most - used))
redis.call('HSET', KEYS[1], 'window', current, 'used', used + had)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return had
""")
_LEASE = Script("""
local kept = redis.call('HMGET', KEYS[1], 'holder', 'until')
if kept[1] and kept[1] ~= ARGV[1] and tonumber(kept[2]) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'until', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
""")
_KEEP_MS = 60_000
"""How much longer than it counts a key is kept: clocks of nodes differ."""
_MOST_LOCAL = 100_000


class ClusterCounters:
    """The port Counters. Without Redis `take` is local, `lease` has no new holders, `add` and `read` raise StorageAway."""

    def __init__(self, redis: Redis, prefix: str = "caas") -> None:
        self._redis, self._prefix = redis, prefix
        self._local: dict[str, tuple[int, int]] = {}
        """By key: the window, and what this node has had in it."""

    @property
    def away(self) -> bool:
        """Whether counts are this node's alone."""
        return self._redis.away

    async def add(self, scope: Tenanted, name: str, amount: int = 1) -> int:
        """See the port."""
        return int(await self._redis.ask(Call("INCRBY", self._key("count", scope, name), amount)))

    async def read(self, scope: Tenanted, names: Sequence[str]) -> list[int]:
        """See the port."""
        if not names:
            return []
        found = await self._redis.ask(Call("MGET", *(self._key("count", scope, name) for name in names)))
        return [int(value or 0) for value in found]

    async def take(self, scope: Tenanted, name: str, amount: int, most: int, window_ms: int, now_ms: int) -> int:
        """See the port. What this node has had counts on while Redis is away."""
        key, number = self._key("window", scope, name), now_ms // window_ms
        try:
            had = int(await self._redis.ask(_TAKE.call(key, amount, most, number, window_ms + _KEEP_MS)))
        except StorageAway:
            return self._take_locally(key, number, amount, most)
        self._note(key, number, had)
        return had

    async def lease(self, scope: Tenanted, name: str, holder: str, ttl_ms: int, now_ms: int) -> bool:
        """See the port. Nobody can be sure of holding anything while Redis is away."""
        call = _LEASE.call(self._key("lease", scope, name), holder, now_ms, now_ms + ttl_ms, ttl_ms + _KEEP_MS)
        try:
            return bool(await self._redis.ask(call))
        except StorageAway:
            return False

    def _key(self, kind: str, scope: Tenanted, name: str) -> str:
        """The tenant is behind its length, so that no two pairs give the same key."""
        return f"{self._prefix}:{kind}:{len(scope.tenant)}:{scope.tenant}:{name}"

    def _take_locally(self, key: str, number: int, amount: int, most: int) -> int:
        current, used = self._local.get(key, (number, 0))
        had = max(0, min(amount, most - (0 if number > current else used)))
        self._note(key, number, had)
        return had

    def _note(self, key: str, number: int, had: int) -> None:
        """The oldest are forgotten first."""
        current, used = self._local.pop(key, (number, 0))
        self._local[key] = (number, had) if number > current else (current, used + had)
        if len(self._local) > _MOST_LOCAL:
            del self._local[next(iter(self._local))]
