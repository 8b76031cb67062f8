"""A tenant: what one application has open on this worker. It counts each user's connections, and tells the log of a user's first one of a day.

Counts are of this worker: they hold back a client gone wild, and are no quota. On the one worker that the ring names it is also the
tenant's bank, from which all workers of the node borrow (actors/lending.py).
"""

from collections import Counter
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import trio

from protocol.errors import Refused
from protocol.ids import derived_act
from protocol.world import Clock
from services.acts import Act
from services.rates.bank import Bank, Loan
from services.rates.model import CLASSES, TENANT, Policy
from services.scope import Scope
from services.tenants import Tenant, Tenants
from supervisor import Actor

MOST_OF_A_USER = 10
"""Connections of one user on one worker."""
DAY_MS = 86_400_000
_MOST_REMEMBERED = 100_000

Submit = Callable[[Scope, Act], None]
"""Have an act decided, whatever comes of it. Must not wait."""


class Enter(NamedTuple):
    """A user's connection has said a good hello. Refused when there are too many."""

    user: str


class Leave(NamedTuple):
    """And has ended."""

    user: str


class Borrow(NamedTuple):
    """A worker wants to hold more of a caller's allowance (or the tenant's). Answered with a Loan."""

    subject: str
    rate: int
    want: int


class Levels(NamedTuple):
    """What a caller and the tenant have left of each class. Answered with two lists."""

    caller: str


TenantMessage = Enter | Leave | Borrow | Levels


class TenantActor(Actor[TenantMessage]):
    """One for each application that has connections here, or its bank."""

    __slots__ = ("_bank", "_clock", "_connections", "_limits", "_seen", "_submit", "_tenant", "_tenants")

    idle: ClassVar[float] = 300.0
    mailbox: ClassVar[int] = 16_384
    refusals: ClassVar[tuple[type[Exception], ...]] = (Refused,)

    def __init__(self, tenant: str, tenants: Tenants, clock: Clock, submit: Submit, policy: Policy | None) -> None:
        """Without a policy nothing is limited."""
        self._tenant, self._tenants, self._clock, self._submit, self._limits = tenant, tenants, clock, submit, policy is not None
        self._bank = Bank(policy or Policy())
        self._connections: Counter[str] = Counter()
        self._seen: dict[str, int] = {}  # by user: the day of the last connection that was told

    def receive(self, message: TenantMessage) -> Loan | list[list[int]] | None:
        """Lend, and count."""
        match message:
            case Borrow(subject, rate, want):
                return self._bank.lend(trio.current_time(), subject, rate, want)
            case Levels(caller):
                return [self._levels(caller), self._levels(TENANT)]
            case Enter(user):
                self._enter(user)
            case Leave(user):
                self._leave(user)
        return None

    def may_sleep(self) -> bool:
        """Not while anybody is connected, nor before all that was lent has flowed back."""
        self._bank.forget_full(trio.current_time())
        return not self._connections and not len(self._bank)

    def _leave(self, user: str) -> None:
        self._connections[user] -= 1
        if self._connections[user] <= 0:
            del self._connections[user]

    def _levels(self, subject: str) -> list[int]:
        now = trio.current_time()
        return [self._bank.lend(now, subject, rate, 0).left for rate in range(len(CLASSES))]

    def _enter(self, user: str) -> None:
        now = self._connections[user]
        if self._limits and now >= MOST_OF_A_USER:
            raise Refused("too_many", "This user has too many connections: close one.", limit=("connections", MOST_OF_A_USER, now + 1))
        self._connections[user] += 1
        day = self._clock.now_ms() // DAY_MS
        if self._seen.get(user) != day:
            if len(self._seen) >= _MOST_REMEMBERED:
                self._seen.clear()
            self._seen[user] = day
            self._submit(Scope(self._tenant), connected(self._tenants.known(self._tenant), user, day))


def connected(tenant: Tenant, user: str, day: int) -> Act:
    """The act of a user's first connection of a day: named after both, so however often it is said, it happens once."""
    op = derived_act(tenant.key, day * DAY_MS, "user.connected", user)
    return Act(tenant.application(), "user.connected", op, b"", {"user": user}, {})
