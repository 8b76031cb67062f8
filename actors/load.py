"""How much a worker takes on: while its loop has not a moment to spare, no more commands than it answers in half a second.

What is beyond is refused at once, before it costs anything; but not to a tenant that has less under way than its even share, for what is too
much is another's then. Without this an overloaded worker would take everything in, and answer all of it too late for anybody. A slow disk is no
overload: the loop has time then, and who waits keeps waiting.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf

import trio

from protocol.errors import Refused

WITHIN_S = 0.5
"""So long may what is under way take, by what was answered lately."""
BEAT_S = 0.05
LEAST = 512
"""So many are always taken on."""
REST_S = 0.03
"""So long sockets are left to gather before they are read, while there is nearly too much: a refusal costs less among others."""
SURE_AFTER = 3
"""Beats without a moment to spare: less is a burst, and soon over."""
_BUSY = 0.95
"""Of the time, and the loop has not a moment to spare."""
_WEIGHT = 0.2
"""Of one beat among those without a moment to spare: answers come in groups, as the disk takes them."""
_UNBOUNDED = 65_536

BUSY = Refused("unavailable", "The server has more to do than it can: send it again in a moment, with the same id.", retry_after_ms=1_000)


class Load:
    """Counts what is under way on this worker. `beat` is plain arithmetic; nobody calls it where time is not real, and then nothing is refused."""

    __slots__ = ("_acts", "_answered", "_busy", "_most", "_per_s", "refused", "under_way")

    def __init__(self) -> None:
        self.under_way = self.refused = self._answered = self._busy = 0
        self._per_s = 0.0
        self._most = inf
        self._acts: dict[str, int] = {}  # that append, by tenant; none of those that have none

    @property
    def most(self) -> float:
        """So many may be under way; infinite while there is time for everything."""
        return self._most

    def rest_s(self) -> float:
        """How long to wait before sockets are read again. A loop that is merely busy reads at once: few are under way there, and each of them
        waits for its answer."""
        return REST_S if self.under_way * 2 > self._most else 0.0

    def admits(self, tenant: str) -> bool:
        """Whether one more that appends is taken on of this tenant; counts what is not. Fewer than twice `most` are under way by that."""
        if self.under_way < self._most or self._has_less_than_its_share(tenant):
            return True
        self.refused += 1
        return False

    def _has_less_than_its_share(self, tenant: str) -> bool:
        """Where it is not alone."""
        own, others = self._acts.get(tenant, 0), len(self._acts) - (tenant in self._acts)
        return others > 0 and own * (others + 1) < self._most

    @contextmanager
    def taking(self, tenant: str, *, lasting: bool) -> Iterator[None]:
        """One that is under way within this; one that appends is refused where it is too much. Raises Refused."""
        if lasting and not self.admits(tenant):
            raise BUSY
        appends = tenant if lasting else ""
        self.entered(appends)
        try:
            yield
        finally:
            self.left(appends)

    def entered(self, tenant: str = "") -> None:
        """One more is under way; of this tenant, if it appends."""
        self.under_way += 1
        if tenant:
            self._acts[tenant] = self._acts.get(tenant, 0) + 1

    def left(self, tenant: str = "") -> None:
        """One has been answered."""
        self.under_way -= 1
        self._answered += 1
        if tenant:
            self._fewer(tenant, 1)

    def dropped(self, count: int, acts: int = 0, tenant: str = "") -> None:
        """So many will never begin, and so many of them would have appended: whoever asked is gone."""
        self.under_way -= count
        if acts:
            self._fewer(tenant, acts)

    def _fewer(self, tenant: str, count: int) -> None:
        if (left := self._acts[tenant] - count) > 0:
            self._acts[tenant] = left
        else:
            del self._acts[tenant]

    def beat(self, seconds: float, spare_s: float) -> None:
        """So long since the last beat, and of this the loop had nothing to do for `spare_s`."""
        per_s, self._answered = self._answered / seconds, 0
        self._busy = self._busy + 1 if spare_s < (1 - _BUSY) * seconds else 0
        if self._busy:  # what is answered while there is time says nothing of how much could be
            self._per_s += max(_WEIGHT, 1 / self._busy) * (per_s - self._per_s)
        if self._busy >= SURE_AFTER:
            self._most = max(LEAST, self._per_s * WITHIN_S)
        elif not self._busy:  # not at once: it may have been a moment between two floods
            self._most = inf if self._most > _UNBOUNDED else self._most * 1.5

    async def run(self, spare: "Spare", now: Callable[[], float] = trio.current_time) -> None:
        """Beat until cancelled."""
        trio.lowlevel.add_instrument(spare)
        try:
            last = now()
            while True:
                await trio.sleep(BEAT_S)
                last, before = now(), last
                self.beat(last - before, spare.taken())
        finally:
            trio.lowlevel.remove_instrument(spare)


class Spare(trio.abc.Instrument):
    """How long trio's loop has waited with nothing to do."""

    def __init__(self, now: Callable[[], float] = trio.current_time) -> None:
        self._now, self._since, self._waited_s = now, 0.0, 0.0

    def taken(self) -> float:
        """Seconds since this was asked last."""
        waited_s, self._waited_s = self._waited_s, 0.0
        return waited_s

    def before_io_wait(self, timeout: float) -> None:
        """See trio. With a timeout of 0 there is something to do: it only looks what has come."""
        self._since = self._now() if timeout > 0 else 0.0

    def after_io_wait(self, timeout: float) -> None:
        """See trio."""
        if self._since:
            self._waited_s += self._now() - self._since
