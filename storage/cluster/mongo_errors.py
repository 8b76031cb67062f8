"""What MongoDB's errors mean here."""

from typing import Any

from bson.errors import InvalidDocument
from pymongo.errors import (
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from storage.cluster.explaining import explained
from storage.ports.errors import OutcomeUnknown, StorageAway, StorageError, StorageFull, Unwritable

DUPLICATE, CONFLICT = 11000, 112
_FULL = frozenset({14031})
"""OutOfDiskSpace."""
_REFUSED = frozenset({13, 18})
"""Unauthorized, AuthenticationFailed: surely not written."""
_CONTENT = (DocumentTooLarge, InvalidDocument, TypeError, ValueError, OverflowError)


class TooLong(StorageAway):
    """MongoDB is there, and has given this up: it would have taken longer than it may."""


class InTheWay(OutcomeUnknown):
    """MongoDB is there; what another writes, or has begun to write, is in the way."""


def of_read(error: Exception) -> StorageError:
    """What a reader is told."""
    if isinstance(error, ExecutionTimeout) and (error.details or {}).get("codeName"):  # the driver, which also gives up by itself, says no name
        return TooLong("MongoDB takes too long to read this")
    return StorageAway(f"MongoDB cannot be read: {_told(error)}")


def of_write(error: Exception) -> StorageError:
    """What a writer is told. Only what surely was not written is called so; a repeat of the rest is harmless."""
    if isinstance(error, _CONTENT):
        return Unwritable(f"this cannot be written: {error}")
    codes = _codes(error)
    if codes & _FULL:
        return StorageFull("the disk of MongoDB's primary is full")
    if isinstance(error, ServerSelectionTimeoutError) or codes & _REFUSED:
        return StorageAway(f"MongoDB cannot be written: {_told(error)}")
    return OutcomeUnknown(f"MongoDB has not said that it wrote this: {_told(error)}")


def duplicates(error: BulkWriteError) -> list[int]:
    """Which operations of a bulk were refused because their key is there, when nothing else was the matter. Raises the error otherwise."""
    failed: list[dict[str, Any]] = error.details["writeErrors"]
    if error.details["writeConcernErrors"] or any(each["code"] != DUPLICATE for each in failed):
        raise error
    return [each["index"] for each in failed]


def _codes(error: Exception) -> set[int]:
    if isinstance(error, BulkWriteError):
        return {each["code"] for each in (*error.details["writeErrors"], *error.details["writeConcernErrors"])}
    if isinstance(error, DuplicateKeyError) or not isinstance(error, OperationFailure):
        return set()
    return {error.code} if error.code is not None else set()


def _told(error: Exception) -> str:
    """Without the driver's long description of the topology."""
    text = str(error).split(", Timeout:", 1)[0]
    return explained(f"{type(error).__name__}: {text[:300]}") if isinstance(error, PyMongoError) else repr(error)
