"""What a client is told when something of ours failed: the same over sockets and REST."""

from collections.abc import Callable

import trio

from protocol.errors import Refused
from storage.ports.errors import OutcomeUnknown, StorageAway, StorageError, StorageFull
from supervisor import ActorStopped, AskTimeout, Later, MailboxFull

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


def settle(later: Later, handle: Callable[[], object]) -> None:
    """Answer somebody who waits with what comes of it, or with the refusal."""
    try:
        answer = handle()
    except Refused as refused:
        return later.fail(refused)
    if isinstance(answer, Later):
        answer.attach(lambda value, error: later.fail(error) if error else later.answer(value), lambda _: None)  # nobody keeps a list of these
    else:
        later.answer(answer)
