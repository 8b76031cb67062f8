"""A token bucket, kept as one number: the moment when it will be full again (GCRA, the leaky bucket as a meter). Pure.

With `burst` tokens in a full one and `per_s` flowing in, what is missing at `now` is `(full_at - now) * per_s`. So a full bucket
needs no memory at all, and filling takes no work.
"""

from services.rates.model import Allowance

EMPTY_HANDED = 1e-6
"""Tokens that rounding may lose: less than this short of a whole one counts as one."""


def tokens(allowance: Allowance, full_at: float, now: float) -> float:
    """What is in it, 0 to burst."""
    return allowance.burst - max(0.0, full_at - now) * allowance.per_s


def take(allowance: Allowance, full_at: float, now: float, want: int) -> tuple[int, float]:
    """Take up to `want` whole tokens: how many it gave, and when it will be full again."""
    given = max(0, min(want, int(tokens(allowance, full_at, now) + EMPTY_HANDED)))
    return given, max(full_at, now) + given / allowance.per_s


def wait_s(allowance: Allowance, full_at: float, now: float) -> float:
    """Seconds until there is a whole token; 0 when there is one."""
    missing = 1.0 - tokens(allowance, full_at, now)
    return missing / allowance.per_s if missing > EMPTY_HANDED else 0.0
