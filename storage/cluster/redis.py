"""Redis: a client in trio's threads, many commands a trip. What does not answer is not asked again and again.

Nothing in Redis is the only copy of anything, so it needs no care of its own: when it forgets, its users begin anew.
"""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import redis as driver
import trio
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import RedisError
from redis.retry import Retry

from storage.cluster.breaker import Breaker
from storage.cluster.explaining import explained
from storage.cluster.gathering import Gathering
from storage.failing import Unfit
from storage.giving_way import GivingWay
from storage.ports.errors import StorageAway, StorageError

_log = logging.getLogger("storage.cluster")

ANSWER_S, CONNECT_S = 0.5, 0.5
"""Deadlines of a trip. Counts are asked for on the way of a command, so they are short."""
_LANES, _TRIP = 4, 200


class Call:
    """One command, or one run of a script."""

    __slots__ = ("arguments", "keys", "script")

    def __init__(self, *arguments: str | int, keys: Sequence[str] = (), script: "Script | None" = None) -> None:
        self.arguments, self.keys, self.script = arguments, keys, script


class Script:
    """A Lua script: it runs whole, or not at all."""

    def __init__(self, text: str) -> None:
        self.text = text

    def call(self, keys: Sequence[str], *arguments: str | int) -> Call:
        """To be run."""
        return Call(*arguments, keys=keys, script=self)


class Redis:
    """The way to one Redis. `run` must be running."""

    def __init__(self, client: "driver.Redis") -> None:
        self._client = client
        self._limiter = trio.CapacityLimiter(_LANES)
        self._breaker = Breaker()
        self._calls: Gathering[Call, Any] = Gathering(self._trip, most=_TRIP, lanes=_LANES)
        self._registered: dict[Script, Any] = {}
        self.run = self._calls.run
        self._giving_way: Callable[[], None] = lambda: None

    @property
    def away(self) -> bool:
        """Whether the last trip had no answer."""
        return self._breaker.away

    @property
    def busy(self) -> bool:
        """Whether a thread is at work."""
        return self._limiter.borrowed_tokens > 0

    def open(self, giving_way: Callable[[], None]) -> None:
        """Have `giving_way` called whenever a thread begins to work."""
        self._giving_way = giving_way

    async def ask(self, call: Call) -> Any:
        """Its answer. Raises StorageAway: it may have been done, and is not to be counted on."""
        if not self._breaker.admits():
            raise StorageAway("Redis does not answer, and is asked again in a moment")
        return await self._calls.ask(call)

    async def close(self) -> None:
        """End the connections."""
        await trio.to_thread.run_sync(self._client.connection_pool.disconnect)

    async def _trip(self, calls: Sequence[Call]) -> Sequence[Any]:
        self._giving_way()
        with trio.move_on_after(ANSWER_S + CONNECT_S + 1.0):
            answers = await trio.to_thread.run_sync(partial(self._try, calls), limiter=self._limiter, abandon_on_cancel=True)
            if isinstance(answers, StorageError):
                self._breaker.failed()
                raise answers
            self._breaker.answered()
            return answers
        self._breaker.failed()
        raise StorageAway("Redis has not answered in time")

    def _try(self, calls: Sequence[Call]) -> Sequence[Any] | StorageError:
        """In a thread."""
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for call in calls:
                    self._put(pipeline, call)
                answers = pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            return StorageAway(explained(f"Redis cannot be reached: {error}"))
        return [StorageAway(explained(f"Redis refuses: {answer}")) if isinstance(answer, Exception) else answer for answer in answers]

    def _put(self, pipeline: Any, call: Call) -> None:
        if call.script is None:
            pipeline.execute_command(*call.arguments)
        else:
            self._script(call.script)(keys=call.keys, args=call.arguments, client=pipeline)

    def _script(self, script: Script) -> Any:
        if script not in self._registered:
            self._registered[script] = self._client.register_script(script.text)
        return self._registered[script]


def make_client(url: str) -> "driver.Redis":
    """A client whose deadlines no URL can lift. Raises Unfit for one that cannot be read."""
    try:
        given: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise Unfit(f"Redis's address cannot be used: {error}; it looks like redis://host:6379/0") from error
    kind = given.pop("connection_class", driver.Connection)
    ours = {"socket_timeout": ANSWER_S, "socket_connect_timeout": CONNECT_S, "retry": Retry(NoBackoff(), 0), "client_name": "caas"}
    return driver.Redis(connection_pool=driver.ConnectionPool(kind, max_connections=_LANES + 1, **{**given, **ours}))


async def _greet(redis: Redis) -> None:
    """Nothing waits for Redis; but that it cannot be reached is told when somebody looks, and not only where limits are found to be local."""
    try:
        await redis.ask(Call("PING"))
    except StorageAway as away:
        _log.error("%s. Until it can be, limits are this worker's own, and presence is unknown", away)


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator[Redis]:
    """The way to a Redis, whether it is there or not. Raises Unfit for an address that cannot be."""
    redis = Redis(make_client(url))
    giving_way = GivingWay(lambda: redis.busy)
    redis.open(giving_way.begin)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(redis.run)
            nursery.start_soon(giving_way.run)
            await _greet(redis)
            yield redis
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await redis.close()
