"""Who may come in: bounds on the sockets of one address, on strangers, and on the descriptors of the process.

A stranger is a socket of whom nobody knows yet who they are: in its handshake, or not admitted by the handler.
"""

import resource
from dataclasses import dataclass, field
from typing import Final

_FORGET_ABOVE: Final = 10_000


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """None lifts a limit."""

    accepts_a_second: int | None = 50
    """New sockets of one address, in a second."""
    of_one_address: int | None = 100
    """Sockets of one address at a time."""
    newcomers: int | None = 2_000
    """Strangers."""
    newcomers_of_one_address: int | None = 20
    """Strangers of one address."""
    newcomers_share: float | None = 0.2
    """Strangers, as a share of the sockets that there may be."""
    descriptors_kept: float = 0.1
    """The share of the process's file descriptors that sockets never take, so that files and links can still be opened."""


UNLIMITED: Final = DoorLimits(accepts_a_second=None, of_one_address=None, newcomers=None, newcomers_of_one_address=None, newcomers_share=None)
"""But for the descriptors."""


@dataclass(slots=True)
class Door:
    """Counts who is in. A socket that is refused is closed unanswered: answering is what a flood wants."""

    limits: DoorLimits = field(default_factory=DoorLimits)
    newcomers: int = 0
    refused: int = 0
    _of: dict[str, int] = field(default_factory=dict)
    _newcomers_of: dict[str, int] = field(default_factory=dict)
    _recent: dict[str, int] = field(default_factory=dict)
    _second: int = 0
    _last_descriptor: int = 0
    _most_newcomers: int | None = None

    def __post_init__(self) -> None:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._last_descriptor = int(most * (1 - self.limits.descriptors_kept))
        share = self.limits.newcomers_share
        bounds = (self.limits.newcomers, None if share is None else int(self._last_descriptor * share))
        self._most_newcomers = min((bound for bound in bounds if bound is not None), default=None)

    @property
    def inside(self) -> int:
        """Sockets counted in and not out yet."""
        return sum(self._of.values())

    def enter(self, address: str, descriptor: int, now: float) -> bool:
        """Whether a socket just accepted may stay; `now` in seconds. One that may counts until `left`."""
        return self.enter_unnamed(descriptor) and self.named(address, now)

    def enter_unnamed(self, descriptor: int) -> bool:
        """The same for one of which a balancer has yet to say whose it is: `named` or `left_unnamed` follows."""
        # The kernel gives the lowest free descriptor, so its number says how many are taken.
        if not (descriptor < self._last_descriptor and _below(self.newcomers, self._most_newcomers)):
            self.refused += 1
            return False
        self.newcomers += 1
        return True

    def named(self, address: str, now: float) -> bool:
        """Whether it may stay, now that its address is known."""
        if not (self._has_room_for(address) and self._at_rate(address, now)):
            self.refused += 1
            self.left_unnamed()
            return False
        _add(self._of, address)
        _add(self._newcomers_of, address)
        return True

    def left_unnamed(self) -> None:
        """Its socket is closed, and nobody has said whose it was."""
        self.newcomers -= 1

    def admitted(self, address: str) -> None:
        """One newcomer of this address is known now."""
        self.newcomers -= 1
        _take(self._newcomers_of, address)

    def left(self, address: str, *, newcomer: bool) -> None:
        """Its socket is closed."""
        if newcomer:
            self.admitted(address)
        _take(self._of, address)

    def _has_room_for(self, address: str) -> bool:
        limits = self.limits
        strangers = self._newcomers_of.get(address, 0)
        return _below(self._of.get(address, 0), limits.of_one_address) and _below(strangers, limits.newcomers_of_one_address)

    def _at_rate(self, address: str, now: float) -> bool:
        if self.limits.accepts_a_second is None:
            return True
        if int(now) != self._second or len(self._recent) > _FORGET_ABOVE:
            self._second = int(now)
            self._recent.clear()
        self._recent[address] = self._recent.get(address, 0) + 1
        return self._recent[address] <= self.limits.accepts_a_second


def _add(counts: dict[str, int], address: str) -> None:
    counts[address] = counts.get(address, 0) + 1


def _take(counts: dict[str, int], address: str) -> None:
    counts[address] -= 1
    if not counts[address]:
        del counts[address]


def _below(count: int, limit: int | None) -> bool:
    return limit is None or count < limit
