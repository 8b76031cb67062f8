"""Counters in Redis, each a script, so that many nodes may count at once. Without Redis allowances are kept by each node for itself: a limit
may then be had once a node, and is never lifted.
"""

from collections.abc import Mapping, Sequence

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
_RENEW = Script("""
local before = redis.call('HGET', KEYS[1], ARGV[1])
for _, holder in ipairs(redis.call('HKEYS', KEYS[1])) do
  if tonumber(redis.call('HGET', KEYS[1], holder)) < tonumber(ARGV[4]) then redis.call('HDEL', KEYS[1], holder) end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if before and tonumber(before) > tonumber(ARGV[3]) then return 1 end
return 0
""")
_MARK = Script("""
for number, key in ipairs(KEYS) do
  local value = ARGV[number + 2]
  if value == '0' then redis.call('HDEL', key, ARGV[1])
  else redis.call('HSET', key, ARGV[1], value) redis.call('PEXPIRE', key, ARGV[2]) end
end
return 1
""")
_MARKS = Script("""
local lives, found = {}, {}
local kept = redis.call('HGETALL', KEYS[1])
for at = 1, #kept, 2 do lives[kept[at]] = tonumber(kept[at + 1]) end
for number = 2, #KEYS do
  local marks, living = redis.call('HGETALL', KEYS[number]), {}
  for at = 1, #marks, 2 do
    local till = lives[marks[at]]
    if not till then redis.call('HDEL', KEYS[number], marks[at])
    elseif till > tonumber(ARGV[1]) then living[#living + 1] = marks[at] living[#living + 1] = marks[at + 1] end
  end
  found[number - 1] = living
end
return found
""")
_KEEP_MS = 60_000
"""How much longer than it counts a key is kept: clocks of nodes differ."""
_LIVES_MS = 3_600_000
"""For so long it is known of a holder that it lived once: before its marks are swept away, it has come back or has not."""
_MARKS_MS = 30 * 86_400_000
"""Longer than any connection lasts."""
_MOST_LOCAL = 100_000
_AT_ONCE = 500
"""Names of one script: Redis does nothing else meanwhile."""


class ClusterCounters:
    """The port Counters. Without Redis `take` is local and nobody holds a lease; all else raises StorageAway."""

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
        return int(await self._redis.ask(Call("INCRBY", self._key("count", scope.tenant, name), amount)))

    async def read(self, scope: Tenanted, names: Sequence[str]) -> list[int]:
        """See the port."""
        if not names:
            return []
        found = await self._redis.ask(Call("MGET", *(self._key("count", scope.tenant, name) for name in names)))
        return [int(value or 0) for value in found]

    async def take(self, scope: Tenanted, name: str, amount: int, most: int, window_ms: int, now_ms: int) -> int:
        """See the port. What this node has had counts on while Redis is away."""
        key, number = self._key("window", scope.tenant, name), now_ms // window_ms
        try:
            had = int(await self._redis.ask(_TAKE.call([key], amount, most, number, window_ms + _KEEP_MS)))
        except StorageAway:
            return self._take_locally(key, number, amount, most)
        self._note(key, number, had)
        return had

    async def lease(self, scope: Tenanted, name: str, holder: str, ttl_ms: int, now_ms: int) -> bool:
        """See the port. Nobody can be sure of holding anything while Redis is away."""
        call = _LEASE.call([self._key("lease", scope.tenant, name)], holder, now_ms, now_ms + ttl_ms, ttl_ms + _KEEP_MS)
        try:
            return bool(await self._redis.ask(call))
        except StorageAway:
            return False

    async def renew(self, holder: str, ttl_ms: int, now_ms: int) -> bool:
        """See the port."""
        return bool(await self._redis.ask(_RENEW.call([self._lives], holder, now_ms + ttl_ms, now_ms, now_ms - _LIVES_MS)))

    async def mark(self, scope: Tenanted, holder: str, marks: Mapping[str, int]) -> None:
        """See the port. Of more than 500 it is several writes: whoever makes so many has just begun, and makes them again if it fails."""
        made = list(marks.items())
        for begin in range(0, len(made), _AT_ONCE):
            some = made[begin : begin + _AT_ONCE]
            keys = [self._key("marks", scope.tenant, name) for name, _ in some]
            await self._redis.ask(_MARK.call(keys, holder, _MARKS_MS, *(value for _, value in some)))

    async def marks(self, scope: Tenanted, names: Sequence[str], now_ms: int) -> list[dict[str, int]]:
        """See the port."""
        found: list[dict[str, int]] = []
        for begin in range(0, len(names), _AT_ONCE):
            keys = [self._key("marks", scope.tenant, name) for name in names[begin : begin + _AT_ONCE]]
            found += map(_by_holder, await self._redis.ask(_MARKS.call([self._lives, *keys], now_ms)))
        return found

    @property
    def _lives(self) -> str:
        return f"{self._prefix}:lives"

    def _key(self, kind: str, tenant: str, name: str) -> str:
        """The tenant is behind its length, so that no two pairs give the same key."""
        return f"{self._prefix}:{kind}:{len(tenant)}:{tenant}:{name}"

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


def _by_holder(pairs: Sequence[bytes]) -> dict[str, int]:
    return {holder.decode(): int(value) for holder, value in zip(pairs[::2], pairs[1::2], strict=True)}
