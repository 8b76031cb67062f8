"""An audience: this worker's share of a conversation's listeners, and how whole frames get to them."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
import trio

from actors.keys import Key
from services.kinds import EVERYBODY, Touched

_unpack = msgspec.msgpack.Decoder().decode


class Outlet(Protocol):
    """Where whole frames go out: to one connection, or to a crowd of them."""

    def send_frames(self, wire: bytes) -> None: ...


Gather = Callable[[list[Any]], Outlet]
"""From the outlets of many to one for all of them."""


class OneByOne:
    """Many outlets as one, where nothing faster is known."""

    def __init__(self, outlets: Sequence[Outlet]) -> None:
        self._outlets = outlets

    def __len__(self) -> int:
        return len(self._outlets)

    def send_frames(self, wire: bytes) -> None:
        """To each of them."""
        for outlet in self._outlets:
            outlet.send_frames(wire)


class Listener(Protocol):
    """A connection, as fan-out sees it."""

    @property
    def text(self) -> bool: ...

    @property
    def user(self) -> str:
        """Internal id."""
        ...

    @property
    def name(self) -> str:
        """No other connection of the node has it."""
        ...

    @property
    def outlet(self) -> Outlet:
        """What `send_frames` sends by."""
        ...

    def send_frames(self, wire: bytes) -> None: ...

    def dismissed(self, key: Key) -> None:
        """Its reading of a conversation has ended."""
        ...


class Audience:
    """The connections of this worker that watch one conversation. Those in `live` have been sent everything up to `last`."""

    __slots__ = ("ahead", "asking", "behind", "concerned", "crowd", "early", "ended", "filled", "following", "key", "last", "live", "passed",
                 "ready", "rights", "watchers")

    def __init__(self, key: Key) -> None:
        self.key, self.last = key, 0
        self.watchers: dict[Listener, int] = {}  # and the seq at which their room let them read; 0 before the reply
        self.live: dict[Listener, None] = {}
        self.crowd: tuple[Outlet, OneByOne] | None = None  # those of `live` as one: who reads msgpack, and who reads JSON
        self.ahead: dict[Listener, int] = {}  # have been sent more than `last`: live when it gets there
        self.behind: dict[Listener, None] | None = None  # have had their reply and are catching up
        self.passed: dict[tuple[str, str], int] | None = None  # receipts, by (name of the push, user), while somebody has not begun
        self.ended: dict[str, int] = {}  # users whose reading ended, and at which seq
        self.rights: dict[str, int] = {}  # users whose rights may have changed, and at which seq
        self.concerned: set[str] = set()  # those to be told of it
        self.asking = False
        self.early: dict[int, tuple[bytes, Touched]] = {}  # came while `following` is being made good
        self.following = False
        self.ready: trio.Event | None = None
        self.filled: trio.Event | None = None  # while somebody reads its latest from storage

    def begin(self, listener: Listener, told: dict[str, Any]) -> None:
        """Its reply is being made: receipts that passed since it was looked up go into `told`."""
        for (what, user), seq in (self.passed or {}).items():
            name = what.removeprefix("message.")
            told[name] = {**told[name], user: max(seq, told[name].get(user, 0))}  # what is shown of a room is one object for all
        itself = listener not in self.live and listener not in self.ahead and listener not in (self.behind or ())
        if self.preparing <= itself:
            self.passed = None

    def wait(self, listener: Listener) -> None:
        """It has had its reply, and catches up until it joins; what is ephemeral it gets all the same."""
        self.behind = self.behind or {}
        self.behind[listener] = None

    @property
    def preparing(self) -> int:
        """How many of those who watch have not had their reply."""
        return len(self.watchers) - len(self.live) - len(self.ahead) - len(self.behind or ())

    def note(self, push: bytes) -> None:
        """Something ephemeral passes: remember a receipt for those who have not begun."""
        said = _unpack(push)
        if said["t"] in ("message.read", "message.delivered"):
            self.passed = self.passed or {}
            told = (said["t"], said["p"]["user"])
            self.passed[told] = max(said["p"]["seq"], self.passed.get(told, 0))

    def join(self, listener: Listener, last: int) -> None:
        """Live from now on; it has been sent everything up to `last`, which is not before our own."""
        if self.behind:
            self.behind.pop(listener, None)
        if last > self.last:
            self.ahead[listener] = last
        else:
            self.live[listener] = None
            self.crowd = None

    def ended_after(self, user: str, seq: int) -> bool:
        """Whether the reading of somebody who could read at `seq` has ended since."""
        return _last(self.ended, user) > seq

    def rights_after(self, user: str, seq: int) -> bool:
        """Whether what they could do at `seq` may be otherwise now."""
        return _last(self.rights, user) > seq


def _last(seqs: dict[str, int], user: str) -> int:
    return max(seqs.get(user, 0), seqs.get(EVERYBODY[0], 0))
