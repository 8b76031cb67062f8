"""Rates on this worker: slices that it has borrowed from the tenants' banks, for each caller and class and for the tenant.

To ask is a subtraction from two slices that are here. Borrowing goes on behind it: before a slice is used up the next is asked for.
Where one is empty and the bank has not answered yet, whoever asks waits for that answer, a moment; where the bank has said that it
has nothing, it is No until the time that it gave. A bank that cannot be reached is stood in for by one of this worker's own.
"""

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

import trio

from protocol.errors import Refused
from services.rates.bank import Bank, Loan
from services.rates.model import CLASSES, TENANT, Allowance, Policy
from services.recent import Recent

Answer = Callable[[Any, Exception | None], None]
Borrow = Callable[[str, str, int, int, Answer], None]
"""Ask a tenant's bank: tenant, caller, class, how many. The answer is a Loan's three numbers, or why there is none."""

MOST_CALLERS = 20_000
"""Callers of one tenant and class whose slices a worker keeps; who was quiet for longest borrows anew."""
AWAY_S = 1.0
"""How long a bank that did not answer is left alone."""
LEAST_PAUSE_S = 0.02
"""A bank that has nothing is not asked again sooner, however fast its bucket fills."""


class Standing(Enum):
    """Whether something may be done."""

    ADMITTED = "admitted"
    WAIT = "wait"
    NO = "no"


_ADMITTED = Standing.ADMITTED  # looked up with every command


class Left(NamedTuple):
    """What a caller has left of a class, as far as this worker knows: for headers."""

    name: str
    allowance: Allowance
    remaining: int


class Slice:
    """What this worker holds of one bucket, and what it knows of the rest."""

    __slots__ = ("allowance", "asking", "banked", "banked_at", "left", "low", "none_until", "waiting")

    def __init__(self, allowance: Allowance, now: float) -> None:
        self.allowance = allowance
        self.left, self.low = 0, allowance.slice // 3
        self.asking, self.none_until = False, 0.0
        self.banked, self.banked_at = allowance.burst, now
        self.waiting: list[Callable[[], None]] = []

    def take_loan(self, loan: Loan, now: float) -> None:
        """The bank has answered."""
        self.asking = False
        self.left += loan.granted
        self.banked, self.banked_at = loan.left, now
        if not loan.granted:
            self.none_until = now + max(loan.wait_s, LEAST_PAUSE_S)
        waiting, self.waiting = self.waiting, []
        for go_on in waiting:
            go_on()

    def remaining(self, now: float) -> int:
        """What is here, and what the bank will have by now if nobody else borrows."""
        return min(self.allowance.burst, self.left + int(self.banked + (now - self.banked_at) * self.allowance.per_s))


class TenantRates:
    """One tenant's callers on this worker. None of it waits, but `admitted`."""

    __slots__ = ("_all", "_away_until", "_borrow", "_callers", "_policy", "_stand_in", "_tenant", "refused")

    def __init__(self, tenant: str, policy: Policy, borrow: Borrow) -> None:
        now = trio.current_time()
        self._tenant, self._policy, self._borrow = tenant, policy, borrow
        self._callers: list[Recent[str, Slice]] = [Recent(MOST_CALLERS) for _ in CLASSES]
        self._all = [Slice(allowance, now) for allowance in policy.tenant]
        self._stand_in, self._away_until = Bank(policy), 0.0
        self.refused = 0
        """How often it was No."""

    def ask(self, caller: str, rate: int) -> Standing:
        """Whether this caller (a user's internal id, or APPLICATION) may do one more thing of this class. ADMITTED counts it."""
        own, everybody = self._callers[rate].get(caller), self._all[rate]
        if own is None or own.left <= 0 or everybody.left <= 0:
            return self._short(caller, rate, own or self._open(caller, rate), everybody)
        own.left -= 1
        everybody.left -= 1
        if own.left == own.low:
            self._refill(caller, rate, own)
        if everybody.left == everybody.low:
            self._refill(TENANT, rate, everybody)
        return _ADMITTED

    def when_known(self, caller: str, rate: int, go_on: Callable[[], None]) -> None:
        """After WAIT: call `go_on`, once, when a bank has answered. Then ask again."""
        for piece in self._slices(caller, rate):
            if piece.left <= 0 and piece.asking:
                return piece.waiting.append(go_on)
        return go_on()

    def refusal(self, caller: str, rate: int) -> Refused:
        """After NO: when to come again, and what was met."""
        now = trio.current_time()
        own, everybody = self._slices(caller, rate)
        piece = everybody if everybody.left <= 0 and everybody.none_until > own.none_until else own
        name = CLASSES[rate] if piece is own else f"tenant-{CLASSES[rate]}"
        after_ms = max(1, round((piece.none_until - now) * 1000))
        return Refused("too_many", f"Too many commands of class `{CLASSES[rate]}`: at most {piece.allowance.per_s:g} a second and "
                       f"{piece.allowance.burst} at once. Wait {after_ms} ms, then send it again.",
                       limit=(name, piece.allowance.burst, piece.allowance.burst + 1), retry_after_ms=after_ms)

    async def admitted(self, caller: str, rate: int) -> None:
        """Return when it is admitted. Raises Refused `too_many`."""
        while (standing := self.ask(caller, rate)) is Standing.WAIT:
            known = trio.Event()
            self.when_known(caller, rate, known.set)
            await known.wait()
        if standing is Standing.NO:
            raise self.refusal(caller, rate)

    def left(self, caller: str, rate: int) -> Left:
        """The tighter of the caller's own allowance and the tenant's."""
        now = trio.current_time()
        own, everybody = self._slices(caller, rate)
        mine, ours = own.remaining(now), everybody.remaining(now)
        if ours < mine:
            return Left(f"tenant-{CLASSES[rate]}", everybody.allowance, ours)
        return Left(CLASSES[rate], own.allowance, mine)

    def held(self, caller: str) -> list[int]:
        """By class: what this worker has borrowed for this caller (or TENANT) and not used."""
        if caller == TENANT:
            return [piece.left for piece in self._all]
        return [piece.left if (piece := callers.get(caller)) is not None else 0 for callers in self._callers]

    def _slices(self, caller: str, rate: int) -> tuple[Slice, Slice]:
        return self._callers[rate].get(caller) or self._open(caller, rate), self._all[rate]

    def _open(self, caller: str, rate: int) -> Slice:
        opened = Slice(self._policy.of(caller)[rate], trio.current_time())
        self._callers[rate].put(caller, opened)
        return opened

    def _short(self, caller: str, rate: int, own: Slice, everybody: Slice) -> Standing:
        """One of the two is empty here: is there more?"""
        now = trio.current_time()
        for who, piece in ((caller, own), (TENANT, everybody)):
            if piece.left <= 0 and now >= piece.none_until:
                self._refill(who, rate, piece)
            if piece.left <= 0 and not piece.asking:  # a caller who has nothing left takes nothing from the others
                self.refused += 1
                return Standing.NO
        if own.left > 0 and everybody.left > 0:
            own.left -= 1
            everybody.left -= 1
            return Standing.ADMITTED
        return Standing.WAIT

    def _refill(self, who: str, rate: int, piece: Slice) -> None:
        """Borrow up to a whole slice."""
        if piece.asking:
            return
        want, now = piece.allowance.slice - piece.left, trio.current_time()
        piece.asking = True
        if now < self._away_until:
            piece.take_loan(self._stand_in.lend(now, who, rate, want), now)
        else:
            self._borrow(self._tenant, who, rate, want, partial(self._answered, who, rate, want, piece))

    def _answered(self, who: str, rate: int, want: int, piece: Slice, loan: Any, error: Exception | None) -> None:
        now = trio.current_time()
        if error is not None:
            self._away_until = now + AWAY_S
            loan = self._stand_in.lend(now, who, rate, want)
        piece.take_loan(Loan(*loan), now)


class Rates:
    """All tenants' rates on this worker."""

    def __init__(self, policy: Policy, borrow: Borrow) -> None:
        self._policy, self._borrow = policy, borrow
        self._tenants: dict[str, TenantRates] = {}

    def of(self, tenant: str) -> TenantRates:
        """A tenant that somebody has shown good credentials for."""
        found = self._tenants.get(tenant)
        if found is None:
            found = self._tenants[tenant] = TenantRates(tenant, self._policy, self._borrow)
        return found

    @property
    def refused(self) -> int:
        """How often it was No since the worker started."""
        return sum(tenant.refused for tenant in self._tenants.values())
