"""Transactions: all of one node's are made in one session, so that none that was given up stands in the way of the next.

A server that was slow, or stood still, in the middle of a transaction goes on with it when nobody waits for it any more, and holds its documents
until it finds it too old: a minute or more, for which a conversation could not be stored. Of one session the server keeps one transaction: it
ends the one before as soon as it hears of the next. What is given up is ended at once besides, where the server can be reached.

A process that is killed in the middle of one ends nothing. Whoever finds a transaction in the way all the time it may try looks for those that
have been open for longer than anybody waits for his own, and ends them: nobody is left who could finish them.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pymongo
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from storage.cluster.mongo_errors import CONFLICT, InTheWay
from storage.ports.errors import StorageAway

_log = logging.getLogger("storage.cluster")
Doc = dict[str, Any]
Writing = Callable[[ClientSession], None]

TRIED_S, ENDED_S = 4.0, 1.0
"""For a transaction, with its repeats when somebody is in the way; for ending one that was given up."""
ABANDONED_S = TRIED_S + ENDED_S + 1.0
"""A transaction that has been open for so long has nobody any more."""
APP_NAME = "caas"


class Transactions:
    """Of one node, one at a time. Used in threads."""

    def __init__(self) -> None:
        self._client: MongoClient[Doc] | None = None
        self._lock = threading.Lock()
        self._session: ClientSession | None = None

    def make(self, step: ClientSession, write: Writing) -> None:
        """Have all that `write` writes written, or nothing; `step` goes on after it. Raises InTheWay, StorageAway, PyMongoError."""
        lock = self._lock_of(step.client)
        if not lock.acquire(timeout=TRIED_S):
            raise StorageAway("another transaction has no answer yet")
        try:
            self._session = session = self._session or step.client.start_session(causal_consistency=False)
            self._write(session, Hindered(write))
            if session.operation_time is not None:
                step.advance_operation_time(session.operation_time)
        finally:
            lock.release()

    def _lock_of(self, client: MongoClient[Doc]) -> threading.Lock:
        """A client that is new begins anew: what the one before has under way may never end."""
        if client is not self._client:
            self._client, self._lock, self._session = client, threading.Lock(), None
        return self._lock

    def _write(self, session: ClientSession, write: "Hindered") -> None:
        try:
            with pymongo.timeout(TRIED_S):
                session.with_transaction(write, read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority", j=True))
        except PyMongoError as error:
            self._end(session)
            if not write.conflicts:
                raise
            end_abandoned(session)
            raise InTheWay("another transaction is in the way") from error

    def _end(self, session: ClientSession) -> None:
        """At the server. Where that cannot be said, the session is used again: its next transaction says it."""
        with suppress(PyMongoError), pymongo.timeout(ENDED_S):
            session.client.admin.command({"killSessions": [session.session_id]})
            self._session = None


class Hindered:
    """What is to be written, and whether the latest attempt found another transaction in its way, or would have had it come that far."""

    def __init__(self, write: Writing) -> None:
        self._write, self.conflicts = write, False

    def __call__(self, session: ClientSession) -> None:
        """One attempt."""
        try:
            self._write(session)
            self.conflicts = False
        except PyMongoError as error:
            conflict = isinstance(error, OperationFailure) and error.code == CONFLICT
            self.conflicts = conflict or (self.conflicts and bool(error.timeout))
            raise


def end_abandoned(session: ClientSession) -> None:
    """End the transactions of ours that nobody can finish. What cannot be ended is in the way until the server finds it too old."""
    open_for = {"type": "idleSession", "appName": APP_NAME, "transaction.timeOpenMicros": {"$gte": int(ABANDONED_S * 1e6)}}
    with suppress(PyMongoError), pymongo.timeout(ENDED_S):
        admin = session.client.admin
        found = [each["lsid"]["id"] for each in admin.aggregate([{"$currentOp": {"idleSessions": True}}, {"$match": open_for}])]
        if found:
            _log.warning("ending %d transactions that were left open for more than %g s: their process was killed, or stood still", len(found),
                         ABANDONED_S)
            admin.command({"killSessions": [{"id": each} for each in found]})
