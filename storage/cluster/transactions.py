"""Transactions: all of one node's are made in one session, so that none that was given up stands in the way of the next.

A server that was slow, or stood still, in the middle of a transaction goes on with it when nobody waits for it any more, and holds its documents
until it finds it too old: a minute or more, for which a conversation could not be stored. Of one session the server keeps one transaction: it
ends the one before as soon as it hears of the next. What is given up is ended at once besides, where the server can be reached.
"""

import threading
from collections.abc import Callable
from contextlib import suppress

import pymongo
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from storage.ports.errors import StorageAway

Writing = Callable[[ClientSession], None]

TRIED_S, ENDED_S = 4.0, 1.0
"""For a transaction, with its repeats when somebody is in the way; for ending one that was given up."""


class Transactions:
    """Of one node, one at a time. Used in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: ClientSession | None = None

    def make(self, step: ClientSession, write: Writing) -> None:
        """Have all that `write` writes written, or nothing; `step` goes on after it. Raises StorageAway, PyMongoError."""
        if not self._lock.acquire(timeout=TRIED_S):
            raise StorageAway("another transaction has no answer yet")
        try:
            self._session = session = self._session or step.client.start_session(causal_consistency=False)
            try:
                with pymongo.timeout(TRIED_S):
                    session.with_transaction(write, read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority", j=True))
            except PyMongoError:
                self._end(session)
                raise
            if session.operation_time is not None:
                step.advance_operation_time(session.operation_time)
        finally:
            self._lock.release()

    def _end(self, session: ClientSession) -> None:
        """At the server. Where that cannot be said, the session is used again: its next transaction says it."""
        with suppress(PyMongoError), pymongo.timeout(ENDED_S):
            session.client.admin.command({"killSessions": [session.session_id]})
            self._session = None
