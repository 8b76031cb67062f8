"""MongoDB: a client in trio's threads, behind limits of its own. Every call has a deadline, every write is on the disks of a majority, and
everything that one node reads or writes is one causal chain on the primary.

The chain is what keeps a node from reading backwards when the primary changes: each session begins where the latest answered one ended.

A client that has had no answer for long is replaced by a new one, threads and all. Where MongoDB is away that changes nothing. But a client can be
what is wrong: its picture of the replica set, a thread of it that stands still; and no other node would then make up for this one.
"""

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pymongo
import trio
from bson.timestamp import Timestamp
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import ConfigurationError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from storage.cluster.breaker import Breaker
from storage.cluster.mongo_errors import InTheWay, TooLong, of_read, of_write
from storage.cluster.transactions import APP_NAME
from storage.failing import Unfit
from storage.ports.errors import OutcomeUnknown, StorageAway, StorageError

_log = logging.getLogger("storage.cluster")
T = TypeVar("T")
Doc = dict[str, Any]
Work = Callable[[Database[Doc], ClientSession], T]

READ_S, WRITE_S, STORE_S = 3.0, 5.0, 20.0
"""Deadlines: of a read, of a document, of a step of storing. Shorter than those of whoever asks."""
EACH_S = 5.0
"""Of each write of a step: one that waits for a member that stands still is given up while there is time to try again."""
READERS, WRITERS = 8, 4
"""Threads. Storing is one of the writers; it waits for no reader."""
RENEW_S = 15.0
"""After so long without any answer the client is replaced, and again after as long."""
_CLOSE_S = 1.0
_HEARTBEAT_MS, _CONNECT_MS = 1_000, 2_000
"""A member that stands still is noticed after both of these together."""


class Mongo:
    """The way to one database. Made and closed in trio's thread; `make` makes a client."""

    def __init__(self, make: Callable[[], MongoClient[Doc]], database: str) -> None:
        self._make, self._name = make, database
        self._begin()
        self._reads, self._writes = Breaker(), Breaker()
        self._lock = threading.Lock()
        self._seen: Timestamp | None = None
        self._giving_way: Callable[[], None] = lambda: None

    def _begin(self) -> None:
        self._client = self._make()
        self._readers, self._writers = trio.CapacityLimiter(READERS), trio.CapacityLimiter(WRITERS)
        self._made = trio.current_time()

    @property
    def away(self) -> bool:
        """Whether the last that was read, or written, had no answer."""
        return self._reads.away or self._writes.away

    @property
    def busy(self) -> bool:
        """Whether a thread is at work."""
        return bool(self._readers.borrowed_tokens or self._writers.borrowed_tokens)

    def open(self, giving_way: Callable[[], None]) -> None:
        """Have `giving_way` called whenever a thread begins to work."""
        self._giving_way = giving_way

    async def read(self, work: Work[T], within_s: float = READ_S) -> T:
        """What `work` makes of the database, in a thread. Raises StorageError: nothing was written, whatever it says."""
        late = StorageAway("MongoDB has not answered in time")
        return await self._in_thread(partial(self._try, self._client, work, within_s, of_read), self._readers, self._reads, within_s, late)

    async def write(self, work: Work[T], within_s: float = WRITE_S) -> T:
        """The same for what writes. Raises OutcomeUnknown where it may have been written."""
        late = OutcomeUnknown("MongoDB has not answered in time: it may have written this")
        return await self._in_thread(partial(self._try, self._client, work, within_s, of_write), self._writers, self._writes, within_s, late)

    async def close(self) -> None:
        """End the connections. What is under way ends by its own deadline."""
        await trio.to_thread.run_sync(self._client.close)

    async def _in_thread(self, call: Callable[[], T | StorageError], limiter: trio.CapacityLimiter, breaker: Breaker, within_s: float,
                         late: StorageError) -> T:
        """A thread that is given up ends by itself: its own deadline is shorter."""
        if not breaker.admits():
            raise StorageAway("MongoDB does not answer, and is asked again in a moment")
        if breaker.away_s > RENEW_S and trio.current_time() - self._made > RENEW_S:
            await self._renew()
            raise StorageAway("MongoDB has not answered for long: its client is made anew")
        self._giving_way()
        begun: list[bool] = []
        with trio.move_on_after(within_s + 1.0):
            result = await trio.to_thread.run_sync(_noting(call, begun), limiter=limiter, abandon_on_cancel=True)
            return _judged(result, breaker)
        breaker.failed()
        raise late if begun else StorageAway("too much waits for MongoDB")

    async def _renew(self) -> None:
        """What the client before has under way ends by its own deadline, or never: nobody waits for it."""
        _log.warning("MongoDB has not answered for %g s: its client is made anew; threads at work: %d readers, %d writers; it knew %s", RENEW_S,
                     self._readers.borrowed_tokens, self._writers.borrowed_tokens, self._client.topology_description)
        before = self._client
        self._begin()
        with trio.move_on_after(_CLOSE_S):
            await trio.to_thread.run_sync(before.close, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1))

    def _try(self, client: MongoClient[Doc], work: Work[T], within_s: float, judge: Callable[[Exception], StorageError]) -> T | StorageError:
        """In a thread. What failed is given back, not raised: an error that nobody waits for any more is no news."""
        try:
            with client.start_session(causal_consistency=True) as session:
                return self._chained(work, client[self._name], session, within_s)
        except StorageError as error:
            return error
        except (PyMongoError, *_CONTENT) as error:
            return judge(error)

    def _chained(self, work: Work[T], database: Database[Doc], session: ClientSession, within_s: float) -> T:
        with self._lock:
            seen = self._seen
        if seen is not None:
            session.advance_operation_time(seen)
        with pymongo.timeout(within_s):
            result = work(database, session)
        with self._lock:
            if session.operation_time is not None and (self._seen is None or self._seen < session.operation_time):
                self._seen = session.operation_time
        return result


_CONTENT = (TypeError, ValueError, OverflowError)


def _judged(result: T | StorageError, breaker: Breaker) -> T:
    """One read that takes too long, or one write that another is in the way of, says nothing of the others."""
    if isinstance(result, StorageAway | OutcomeUnknown) and not isinstance(result, TooLong | InTheWay):
        breaker.failed()
    else:
        breaker.answered()
    if isinstance(result, StorageError):
        raise result
    return result


def _noting(call: Callable[[], T], begun: list[bool]) -> Callable[[], T]:
    def run() -> T:
        begun.append(True)
        return call()

    return run


_LOOKS = "it looks like mongodb://host1,host2,host3/?replicaSet=caas"


def make_client(uri: str, within_s: float = READ_S) -> MongoClient[Doc]:
    """A client whose settings no URI can weaken; `within_s` is the deadline of what names no other. Raises Unfit for a URI that cannot be read."""
    if not uri.startswith(("mongodb://", "mongodb+srv://")):
        raise Unfit(f"`{uri}` is no address of MongoDB: {_LOOKS}")
    try:
        return MongoClient(
            uri, appname=APP_NAME, directConnection=False, w="majority", journal=True, readConcernLevel="majority", readPreference="primary",
            retryWrites=True, retryReads=True, timeoutMS=int(within_s * 1000), connectTimeoutMS=_CONNECT_MS, heartbeatFrequencyMS=_HEARTBEAT_MS,
            maxPoolSize=READERS + WRITERS + 2, tz_aware=True)
    except (ConfigurationError, ValueError) as error:
        raise Unfit(f"MongoDB's address cannot be used: {error}; {_LOOKS}") from error


def is_safe(client: MongoClient[Doc]) -> bool:
    """Whether reads and writes are what `make_client` asked for."""
    return (client.write_concern == WriteConcern("majority", j=True) and client.read_concern == ReadConcern("majority")
            and client.read_preference == ReadPreference.PRIMARY)
