"""Rates over REST: a request is let in by the class of its command, and its response says what is left.

`RateLimit` and `RateLimit-Policy` are of draft-ietf-httpapi-ratelimit-headers (two fields, from -07 on); `X-RateLimit-*` is what older
clients look for. `Retry-After` comes with every 429 (transport/answering.py).
"""

from math import ceil

from quart import Response, g

from actors.lending import caller_of
from actors.rates import Left, Rates
from protocol.world import Clock
from services.rates.model import CLASSES
from services.scope import Scope


class Gate:
    """Counts requests, and tells what is left."""

    def __init__(self, rates: Rates, clock: Clock) -> None:
        self._rates, self._clock = rates, clock

    async def let_in(self, scope: Scope, name: str) -> None:
        """Count this request in the class of that name. Raises Refused `too_many`."""
        rate = CLASSES.index(name)
        g.rated = (scope, rate)
        await self._rates.of(scope.tenant).admitted(caller_of(scope), rate)

    def tell_left(self, response: Response) -> None:
        """The headers, where the request was counted."""
        rated: tuple[Scope, int] | None = g.get("rated")
        if rated is not None:
            scope, rate = rated
            response.headers.update(headers(self._rates.of(scope.tenant).left(caller_of(scope), rate), self._clock.now_ms()))


def headers(left: Left, now_ms: int) -> dict[str, str]:
    """The tighter of the two allowances: its size and window, what remains, and in how many seconds it is full again."""
    name, allowance, remaining = left
    full_s = ceil((allowance.burst - remaining) / allowance.per_s)
    return {
        "RateLimit-Policy": f'"{name}";q={allowance.burst};w={allowance.window_s}', "RateLimit": f'"{name}";r={remaining};t={full_s}',
        "X-RateLimit-Limit": str(allowance.burst), "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(ceil(now_ms / 1000) + full_s),
    }
