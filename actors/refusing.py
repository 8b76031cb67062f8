"""What a client is told when something of ours failed: the same over sockets and REST."""

import trio

from protocol.errors import Refused
from storage.ports.errors import OutcomeUnknown, StorageAway, StorageError, StorageFull
from supervisor import ActorStopped, AskTimeout, MailboxFull

_STORAGE: dict[type[StorageError], str] = {StorageFull: "storage_full", StorageAway: "unavailable", OutcomeUnknown: "timeout"}


def explained(error: Exception) -> Refused | None:
    """A refusal as it is, and what may befall anybody (storage away or full, no answer in time) by its code; None for what nobody foresaw."""
    match error:
        case Refused():
            return error
        case StorageError():
            return next((Refused(code) for kind, code in _STORAGE.items() if isinstance(error, kind)), None)
        case ActorStopped(begun=False):
            return Refused("unavailable")
        case MailboxFull():
            return Refused("too_many")
        case trio.TooSlowError() | AskTimeout() | ActorStopped():
            return Refused("timeout")
        case _:
            return None
