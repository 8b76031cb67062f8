"""Drawing: what a node's bank may lend, all nodes together may not lend too often. The counters keep count of that.

A bank on its own node is exact: a burst, and so much a second. Besides, each loan is counted for all nodes in windows of ten times as long
as a bucket takes to fill: in each, one burst more than flows in. So who stays on one node never meets this; who spreads over many gets as
many bursts as there are nodes, once, and in the long run a tenth more than the allowance. Without the counters each node goes by itself.
"""

from collections.abc import Callable
from functools import partial

import trio

from actors.house import Errands
from protocol.world import Clock
from services.rates.model import CLASSES, Allowance, Policy
from services.scope import Scope
from storage.ports.counters import Counters

WITHIN_S = 0.2
"""Somebody may be waiting: a little less than a worker waits for its bank."""
AWAY_S = 1.0
"""Counters that did not answer are left alone for so long."""

Drawn = Callable[[int, float], None]
"""How much was had, and, if that was nothing, in how many seconds there is more."""


class Drawing:
    """Asks the counters on behalf of a node's banks."""

    def __init__(self, policy: Policy, counters: Counters, clock: Clock, errands: Errands) -> None:
        self._policy, self._counters, self._clock, self._errands = policy, counters, clock, errands
        self._away_until = float("-inf")

    def draw(self, tenant: str, subject: str, rate: int, amount: int, done: Drawn) -> None:
        """Have up to `amount` counted for all nodes. `done` is called once, at once or later."""
        allowance = self._policy.of(subject)[rate]
        now_ms = self._clock.now_ms()
        take = partial(self._counters.take, Scope(tenant), f"rate/{CLASSES[rate]}/{subject}", amount, allowance.most_of_nodes,
                       allowance.window_of_nodes_ms, now_ms)
        if trio.current_time() < self._away_until or not self._errands.run(take, partial(self._took, allowance, now_ms, amount, done), WITHIN_S):
            done(amount, 0.0)

    def _took(self, allowance: Allowance, now_ms: int, amount: int, done: Drawn, had: int, error: Exception | None) -> None:
        if error is not None:
            self._away_until = trio.current_time() + AWAY_S
            return done(amount, 0.0)
        done(had, (allowance.window_of_nodes_ms - now_ms % allowance.window_of_nodes_ms) / 1000)
