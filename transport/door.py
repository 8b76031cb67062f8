"""Who may come in: bounds on the sockets of one address, on strangers, and on the descriptors of the process."""

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
    """Sockets of whom nobody knows yet who they are: in their handshake, or not admitted by the handler."""
    descriptors_kept: float = 0.1
    """The share of the process's file descriptors that sockets never take, so that files and links can still be opened."""


@dataclass(slots=True)
class Door:
    """Counts who is in. A socket that is refused is closed unanswered: answering is what a flood wants."""

    limits: DoorLimits = field(default_factory=DoorLimits)
    newcomers: int = 0
    refused: int = 0
    _of: dict[str, int] = field(default_factory=dict)
    _recent: dict[str, int] = field(default_factory=dict)
    _second: int = 0
    _last_descriptor: int = 0

    def __post_init__(self) -> None:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._last_descriptor = int(most * (1 - self.limits.descriptors_kept))

    @property
    def inside(self) -> int:
        """Sockets counted in and not out yet."""
        return sum(self._of.values())

    def enter(self, address: str, descriptor: int, now: float) -> bool:
        """Whether a socket just accepted may stay; `now` in seconds. One that may counts until `left`."""
        # The kernel gives the lowest free descriptor, so its number says how many are taken.
        within = descriptor < self._last_descriptor and _below(self.newcomers, self.limits.newcomers)
        if not (within and _below(self._of.get(address, 0), self.limits.of_one_address) and self._at_rate(address, now)):
            self.refused += 1
            return False
        self._of[address] = self._of.get(address, 0) + 1
        self.newcomers += 1
        return True

    def admitted(self) -> None:
        """One newcomer is known now."""
        self.newcomers -= 1

    def left(self, address: str, *, newcomer: bool) -> None:
        """Its socket is closed."""
        if newcomer:
            self.newcomers -= 1
        remaining = self._of[address] - 1
        if remaining:
            self._of[address] = remaining
        else:
            del self._of[address]

    def _at_rate(self, address: str, now: float) -> bool:
        if self.limits.accepts_a_second is None:
            return True
        if int(now) != self._second or len(self._recent) > _FORGET_ABOVE:
            self._second = int(now)
            self._recent.clear()
        self._recent[address] = self._recent.get(address, 0) + 1
        return self._recent[address] <= self.limits.accepts_a_second


def _below(count: int, limit: int | None) -> bool:
    return limit is None or count < limit
