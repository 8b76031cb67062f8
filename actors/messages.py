"""What rooms are told. Plain values, so that what crosses between workers can be written down (`actors/carrying.py`)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from services.acts import Act, View
from services.scope import Scope
from storage.ports.errors import StorageError
from storage.ports.log import Row, StoredRow


class Submit(msgspec.Struct, frozen=True, gc=False):
    """Have an act decided. Answered with a Verdict, or refused."""

    act: Act


class Ask(NamedTuple):
    """Tell what a scope may know. Answered with a dict."""

    scope: Scope
    view: View


class Listen(NamedTuple):
    """A worker wants the pushes from now on. Answered with the head's seq; pushes after it follow in order."""

    worker: str


class Unlisten(NamedTuple):
    """A worker wants them no more."""

    worker: str


class Signal(NamedTuple):
    """Something ephemeral: for the room's part that `what` begins with (`typing.start`), never for the log. Answered by the part."""

    scope: Scope
    what: str
    p: dict[str, Any]


class Heard(NamedTuple):
    """The same has happened in this conversation's room on another node. Nobody waits for an answer."""

    signal: Signal


class Gone(NamedTuple):
    """A worker has left the node: nothing here is told to it, and what it told is over."""

    worker: str


class Rung(NamedTuple):
    """An alarm that a part has set."""

    call: Callable[[], None]


class Rows(msgspec.Struct, frozen=True, gc=False):
    """What the log gave back for this conversation."""

    rows: Sequence[Row]


class Appended(NamedTuple):
    """The log's own word on the record that is on its way."""

    number: int
    error: StorageError | None


class Overdue(NamedTuple):
    """The deadline of a record on its way has passed."""

    number: int


class Late(NamedTuple):
    """The deadline of commands in a record on its way has passed: they had waited at the desk before it left."""

    number: int


class Woken(NamedTuple):
    """What was read to wake from, or why it could not be."""

    read: object
    error: Exception | None


class Looked(NamedTuple):
    """What storage has of old ids."""

    ops: Collection[bytes]
    rows: Mapping[bytes, StoredRow]
    error: Exception | None


class KeysReady(NamedTuple):
    """The keys that were missing are in memory now."""

    error: Exception | None


class Patience(NamedTuple):
    """Whoever waits for a seq that this room has not seen has waited long enough."""

    later: object


Message = Submit | Ask | Listen | Unlisten | Signal | Heard | Gone | Rung | Rows | Appended | Late | Overdue | Woken | Looked | KeysReady | Patience


def op_of(message: Message) -> str | None:
    """By what a command that killed a room is known when it comes again; other messages have no identity."""
    return message.act.op.hex() if isinstance(message, Submit) else None
