"""What a connection stands on: its socket as the transport hands it over, what it is told, and what all connections of a worker share."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec

from actors.addressees import Addressees
from actors.alarms import Alarms
from actors.dispatch import lasting
from actors.fanout import Fanout
from actors.greeting import Greeter
from actors.house import Errands
from actors.load import Load
from actors.presences import Presences
from actors.rates import Rates
from actors.router import Router
from services.acts import Rooms
from services.commands import Command as Row
from services.hello import OWN
from services.history import History
from services.presence.service import Presence
from services.rates.model import CLASSES
from services.tenants import Tenants


class Outbox(Protocol):
    """What a connection sends by. Nothing here waits, but `wait_drained`."""

    closed: bool

    def send(self, payload: bytes, *, text: bool) -> None: ...

    def send_frames(self, wire: bytes) -> None: ...

    def close(self, code: int, reason: str = "") -> None: ...

    async def wait_drained(self) -> None: ...


class Socket(Protocol):
    """A client's socket, as the transport hands it over."""

    @property
    def outbox(self) -> Outbox: ...

    @property
    def subprotocol(self) -> str | None: ...

    @property
    def paused(self) -> bool: ...

    def admitted(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Frames(msgspec.Struct, frozen=True, gc=False):
    """Messages of the client, in order: (opcode, payload)."""

    frames: list[tuple[int, bytes]]


class Opened(NamedTuple):
    """The socket is open."""


class Closed(NamedTuple):
    """The socket has ended."""


class NoHello(NamedTuple):
    """The time for `hello` is over."""


class Expired(NamedTuple):
    """The token's time is over."""


class Tick(NamedTuple):
    """Time to tell heads."""


class Revoke(NamedTuple):
    """The session is no more."""

    reason: str


Message = Opened | Frames | Closed | NoHello | Expired | Tick | Revoke


class Desk:
    """What all connections of a worker share."""

    def __init__(self, *, table: Mapping[str, Row], router: Router, rooms: Rooms, fanout: Fanout, history: History, errands: Errands,
                 tenants: Tenants, greeter: Greeter, addressees: Addressees, presence: Presence, presences: Presences, epoch: int,
                 load: Load, alarms: Alarms, rates: Rates | None = None) -> None:
        """Without `rates` nobody is held back."""
        self.load, self.alarms = load, alarms
        self.table, self.router, self.rooms, self.fanout, self.history = table, router, rooms, fanout, history
        self.errands, self.tenants, self.greeter, self.addressees = errands, tenants, greeter, addressees
        self.presence, self.presences, self.epoch, self.rates = presence, presences, epoch, rates
        rates_of = {name: row.rate for name, row in table.items()} | {name: own.rate for name, own in OWN.items()}
        self.classes = {name: CLASSES.index(rate) for name, rate in rates_of.items()}
        self.lasting = frozenset(name for name, row in table.items() if lasting(row))
