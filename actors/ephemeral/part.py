"""What a part of a room is, and what it sees of the room."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from actors.alarms import Alarm
from actors.house import House
from actors.keys import Key
from actors.messages import Signal
from services.acts import Act
from services.deciding import Fold, Outcome
from storage.ports.entry import Entry
from supervisor import Later

if TYPE_CHECKING:
    from actors.ephemeral.blocks import Blocks


class Host(Protocol):
    """A room, as its parts see it. Nothing here waits."""

    @property
    def house(self) -> House: ...

    @property
    def key(self) -> Key: ...

    @property
    def fold(self) -> Fold:
        """The conversation as it stands (`awake`)."""
        ...

    @property
    def blocks(self) -> "Blocks | None":
        """Who blocks whom, in a conversation of two; None in others."""
        ...

    def emit(self, push: Mapping[str, Any], but: str = "") -> None:
        """Tell all who watch the conversation, on all workers of this node, but the connection of this name. `push` has `t` and `p`."""
        ...

    def address(self, pushes: Sequence[Mapping[str, Any]], users: Collection[str], *, watching: bool) -> None:
        """Tell these users (internal ids), in one frame, on those of their connections that watch the conversation (on this node: where
        somebody watches, there is a room), or, on all nodes, on those that do not."""
        ...

    def cross(self, signal: Signal) -> None:
        """Have the rooms that other nodes have of this conversation `heard` it. May be lost; never comes twice."""
        ...

    def alarm(self, seconds: float, call: Callable[[], None]) -> Alarm:
        """Call in so many seconds, as a message of the room's own; not when the room has ended by then."""
        ...

    def append(self, act: Act) -> Later:
        """Have an act of this conversation decided; its verdict comes later."""
        ...

    @property
    def awake(self) -> bool:
        """Whether the fold is in memory. It always is while an entry is handled, or a signal (`needs_fold`), not always when an alarm rings."""
        ...


class Part(Protocol):
    """One part. Called by its room alone, one call at a time."""

    needs_fold: ClassVar[bool]
    """Whether a signal wakes a dozing room. A part is always made in one that is awake."""
    listens: ClassVar[bool]
    """Whether it is made to hear of other nodes, in a room that somebody watches; else it hears of them once it is there."""

    def signal(self, signal: Signal) -> object:
        """Somebody does something. What is given back is the answer (plain values); Refused says no."""
        ...

    def heard(self, signal: Signal) -> None:
        """Somebody has done something in this conversation's room on another node, which has let them. Tell those who are here."""
        ...

    def applied(self, entry: Entry, outcome: Outcome) -> None:
        """The log has accepted an entry of this conversation."""
        ...

    def left(self, worker: str) -> None:
        """A worker has left the node, or the link to it broke: what it has told us is void. If it lives, it tells anew."""
        ...

    def unheard(self) -> Later | None:
        """Nobody watches the conversation any more, on any worker of this node. Of a personal one: its user's last connection has gone. What is
        given back is answered when what follows from that is in the log."""
        ...

    def may_sleep(self) -> bool:
        """Whether the room may forget this part."""
        ...

    def stopped(self) -> None:
        """The room ends."""
        ...


class Make(Protocol):
    """A kind of part."""

    @property
    def listens(self) -> bool: ...

    def __call__(self, host: Host) -> Part: ...


Parts = Mapping[str, Make]
"""How to make each part, by its name."""


class Quiet:
    """A part that does nothing of itself: what parts begin from."""

    __slots__ = ()
    needs_fold: ClassVar[bool] = True
    listens: ClassVar[bool] = True

    def heard(self, signal: Signal) -> None:
        """Nothing follows."""

    def applied(self, entry: Entry, outcome: Outcome) -> None:
        """Nothing follows."""

    def left(self, worker: str) -> None:
        """Nothing follows."""

    def unheard(self) -> Later | None:
        """Nothing follows."""
        return None

    def may_sleep(self) -> bool:
        """Nothing would be lost."""
        return True

    def stopped(self) -> None:
        """Nothing to let go of."""
