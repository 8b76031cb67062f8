"""A tenant's bank: the buckets of all its callers, from which workers borrow. Pure but for what it remembers; time is handed in."""

from typing import NamedTuple

from services.rates.bucket import take, tokens, wait_s
from services.rates.model import Policy

_LOOK_AT = 1_024


class Loan(NamedTuple):
    """What the bank lent, what it has left, and in how many seconds there is a whole token again (0: now)."""

    granted: int
    left: int
    wait_s: float


class Bank:
    """By caller and class, when the bucket is full again; a full one is forgotten. So it holds who was active just now, and no more."""

    __slots__ = ("_full_at", "_look_at", "_policy")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._full_at: dict[tuple[str, int], float] = {}
        self._look_at = _LOOK_AT

    def __len__(self) -> int:
        return len(self._full_at)

    def lend(self, now: float, subject: str, rate: int, want: int) -> Loan:
        """Lend up to `want` (0: only tell). `subject` is a user's internal id, APPLICATION or TENANT; `rate` a class."""
        allowance = self._policy.of(subject)[rate]
        granted, full_at = take(allowance, self._full_at.get((subject, rate), now), now, want)
        if granted:
            self._full_at[subject, rate] = full_at
            if len(self._full_at) > self._look_at:
                self.forget_full(now)
                self._look_at = max(_LOOK_AT, 2 * len(self._full_at))
        return Loan(granted, int(tokens(allowance, full_at, now)), wait_s(allowance, full_at, now))

    def take_back(self, subject: str, rate: int, count: int) -> None:
        """So much of what was just lent is not used."""
        if (full_at := self._full_at.get((subject, rate))) is not None:
            self._full_at[subject, rate] = full_at - count / self._policy.of(subject)[rate].per_s

    def forget_full(self, now: float) -> None:
        """Forget whatever has filled up."""
        for key in [key for key, full_at in self._full_at.items() if full_at <= now]:
            del self._full_at[key]
