"""Chat clients for CAAS. `caas_sdk.trio` and `caas_sdk.aio` are the two faces of one client; `caas_sdk.core` is that client without I/O."""

from caas_sdk.core.inbox import Row
from caas_sdk.core.message import Message, Reaction
from caas_sdk.core.outputs import Changed, Event, StateChange
from caas_sdk.core.room import Room
from caas_sdk.core.typing import Typer
from caas_sdk.errors import CaasError, Disconnected, TimedOut
from caas_sdk.sessions import create_session

__version__ = "0.1.0"
__all__ = [
    "CaasError", "Changed", "Disconnected", "Event", "Message", "Reaction", "Room", "Row", "StateChange", "TimedOut", "Typer", "create_session",
]
