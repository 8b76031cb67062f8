"""A tenant: what one application has open on this worker. It counts each user's connections, and tells the log of a user's first one of a day.

Counts are of this worker, and where there are several nodes of what others say: they hold back a client gone wild, and are no quota. On
the one worker that the ring names it is also the tenant's bank, from which all workers of the node borrow (actors/lending.py); where there
are more nodes, it draws on what these share.
"""

import contextlib
from collections import Counter
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import trio

from actors.drawing import Drawing
from protocol.errors import Refused
from protocol.ids import derived_act
from protocol.world import Clock
from services.acts import Act
from services.rates.bank import Bank, Loan
from services.rates.model import CLASSES, TENANT, Policy
from services.scope import Scope
from services.tenants import Tenant, Tenants
from supervisor import Actor, ActorStopped, Later, MailboxFull

MOST_OF_A_USER, MOST_EVERYWHERE = 10, 30
"""Connections of one user on one worker; and on all workers of several nodes."""
DAY_MS = 86_400_000
_MOST_REMEMBERED = 100_000

Submit = Callable[[Scope, Act], None]
"""Have an act decided, whatever comes of it. Must not wait."""


class Enter(NamedTuple):
    """A user's connection has said a good hello. Refused when there are too many."""

    user: str
    elsewhere: int = 0
    """How many connections they have on other workers, where that is counted."""


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


class Drawn(NamedTuple):
    """What the other nodes leave of a loan."""

    borrow: Borrow
    loan: Loan
    had: int
    wait_s: float
    later: Later


TenantMessage = Enter | Leave | Borrow | Levels | Drawn


class TenantActor(Actor[TenantMessage]):
    """One for each application that has connections here, or its bank."""

    __slots__ = ("_bank", "_clock", "_connections", "_drawing", "_limits", "_seen", "_submit", "_tenant", "_tenants")

    idle: ClassVar[float] = 300.0
    mailbox: ClassVar[int] = 16_384
    refusals: ClassVar[tuple[type[Exception], ...]] = (Refused,)

    def __init__(self, tenant: str, tenants: Tenants, clock: Clock, submit: Submit, policy: Policy | None,
                 drawing: Drawing | None = None) -> None:
        """Without a policy nothing is limited. `drawing`: there are other nodes, which have to be asked as well."""
        self._drawing = drawing
        self._tenant, self._tenants, self._clock, self._submit, self._limits = tenant, tenants, clock, submit, policy is not None
        self._bank = Bank(policy or Policy())
        self._connections: Counter[str] = Counter()
        self._seen: dict[str, int] = {}  # by user: the day of the last connection that was told

    def receive(self, message: TenantMessage) -> Loan | Later | list[list[int]] | None:
        """Lend, and count."""
        match message:
            case Borrow():
                return self._lend(message)
            case Drawn():
                self._drawn(message)
            case Levels(caller):
                return [self._levels(caller), self._levels(TENANT)]
            case Enter(user, elsewhere):
                self._enter(user, elsewhere)
            case Leave(user):
                self._leave(user)
        return None

    def may_sleep(self) -> bool:
        """Not while anybody is connected, nor before all that was lent has flowed back."""
        self._bank.forget_full(trio.current_time())
        return not self._connections and not len(self._bank)

    def _lend(self, borrow: Borrow) -> Loan | Later:
        loan = self._bank.lend(trio.current_time(), *borrow)
        if self._drawing is None or not loan.granted:
            return loan
        later = Later()
        self._drawing.draw(self._tenant, borrow.subject, borrow.rate, loan.granted,
                           lambda had, wait_s: self._say(Drawn(borrow, loan, had, wait_s, later)))
        return later

    def _say(self, drawn: Drawn) -> None:
        with contextlib.suppress(ActorStopped, MailboxFull):  # whoever borrows has been told, or helps itself when nothing comes
            self.ref.send_nowait(drawn)

    def _drawn(self, drawn: Drawn) -> None:
        short = drawn.loan.granted - drawn.had
        if short:
            self._bank.take_back(drawn.borrow.subject, drawn.borrow.rate, short)
        drawn.later.answer(Loan(drawn.had, drawn.loan.left, drawn.loan.wait_s if drawn.had else drawn.wait_s))

    def _leave(self, user: str) -> None:
        self._connections[user] -= 1
        if self._connections[user] <= 0:
            del self._connections[user]

    def _levels(self, subject: str) -> list[int]:
        now = trio.current_time()
        return [self._bank.lend(now, subject, rate, 0).left for rate in range(len(CLASSES))]

    def _enter(self, user: str, elsewhere: int) -> None:
        for now, most in ((self._connections[user], MOST_OF_A_USER), (self._connections[user] + elsewhere, MOST_EVERYWHERE)):
            if self._limits and now >= most:
                raise Refused("too_many", "This user has too many connections: close one.", limit=("connections", most, now + 1))
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
