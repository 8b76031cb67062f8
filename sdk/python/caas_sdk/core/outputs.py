"""What the core wants of its face, in the order in which it is to be done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from caas_sdk.core.connection import State


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a WebSocket, and say how it goes under this number."""

    socket: int


@dataclass(frozen=True, slots=True)
class Send:
    """One binary frame, on the socket that is open."""

    data: bytes


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close whatever socket there is."""


@dataclass(frozen=True, slots=True)
class AskToken:
    """Ask for a token that is still good for a while."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell whoever listens for an event of this name."""

    name: str
    what: Any


Output = Dial | Send | HangUp | AskToken | Tell


@dataclass(frozen=True, slots=True)
class StateChange:
    """The event `state`. `wait_s`: until the next try, while reconnecting."""

    state: State
    reason: str
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """The event `changed`: what is shown of a conversation is different now; of the list of conversations, where it is empty."""

    conversation: str


@dataclass(frozen=True, slots=True)
class Event:
    """A push, under its name on the wire. `seq` and `at` are 0 for what is not durable."""

    name: str
    conversation: str
    data: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0
    at: int = 0
