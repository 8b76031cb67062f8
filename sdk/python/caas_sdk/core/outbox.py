"""What was asked for and has no answer yet: sent, sent again with the same id, kept in order. Pure.

A call is *waiting* (to be sent, or sent again), *flying* (sent on this connection) or *done*. Acts on one conversation form a lane:
messages fly together, each naming the one before it (`after`); any other act flies alone, so that what it changes is there for the next.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Literal

from caas_sdk import protocol
from caas_sdk.errors import CaasError

Kind = Literal["act", "read", "bound", "fleeting"]
"""An act changes something durable and has an id. A read may be asked again, on another connection too. What is bound is of use on this
connection alone; what is fleeting is never repeated."""

HELLO = 1
"""The `i` of `hello` on each connection; calls count on from it."""
MOST_WAITING = 10_000
"""Calls not done; more are refused."""
MOST_FLYING = 200
MOST_TRIES = 10
"""Answers that say "try again", before a call fails."""


class Call:
    """One command, until it is answered. `result` or `error` is there when it is done."""

    __slots__ = ("_then", "command", "done", "due", "error", "flying_since", "i", "kind", "p", "result", "size", "tries")

    def __init__(self, command: str, p: dict[str, Any], kind: Kind) -> None:
        self.command, self.p, self.kind = command, p, kind
        self.i = 0
        self.due = 0.0
        self.flying_since: float | None = None
        self.tries = self.size = 0
        self.done = False
        self.result: dict[str, Any] = {}
        self.error: CaasError | None = None
        self._then: list[Callable[[Call], None]] = []

    @property
    def lane(self) -> str | None:
        """What it is kept in order with; None: with nothing."""
        return self.p.get("c", "") if self.kind == "act" else None

    @property
    def is_message(self) -> bool:
        """Whether it sends a message."""
        return self.command == "message.send"

    def then(self, callback: Callable[["Call"], None]) -> None:
        """Call back when it is done; at once when it is."""
        if self.done:
            callback(self)
        else:
            self._then.append(callback)

    def settle(self, result: dict[str, Any] | None = None, error: CaasError | None = None) -> None:
        """It is done: with a result, or an error."""
        self.done, self.result, self.error, self.flying_since = True, result or {}, error, None
        callbacks, self._then = self._then, []
        for callback in callbacks:
            callback(self)

    def again(self) -> None:
        """Begin anew, with the same id."""
        self.done, self.error, self.due, self.tries = False, None, 0.0, 0


class Outbox:
    """All calls that are not done."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._lanes: dict[str, deque[Call]] = {}
        self._free: deque[Call] = deque()
        self._flying: dict[int, Call] = {}
        self._count = 0
        self._i = HELLO

    def add(self, call: Call) -> None:
        """A new call, behind the others of its lane. Raises CaasError when there are too many."""
        if self._count >= MOST_WAITING:
            raise CaasError("too_many", f"{MOST_WAITING} calls are waiting already")
        self._count += 1
        if call.lane is None:
            self._free.append(call)
        else:
            self._lanes.setdefault(call.lane, deque()).append(call)

    def take(self, now: float) -> list[Call]:
        """What is to be sent now. Each has its `i`, and messages name the one before them."""
        room = MOST_FLYING - len(self._flying)
        ready: list[Call] = []
        for call in self._sendable(now):
            if len(ready) >= room:
                break
            self._i += 1
            call.i, call.flying_since = self._i, now
            self._flying[call.i] = call
            ready.append(call)
        return ready

    def answered(self, i: int) -> Call | None:
        """The call that a reply is for; the caller says how it ended by `finish` or `retry`."""
        call = self._flying.pop(i, None)
        if call is not None:
            call.flying_since = None
        return call

    def finish(self, call: Call, result: dict[str, Any] | None = None, error: CaasError | None = None) -> None:
        """It ends: by its reply, by its push, or because it is given up."""
        if call.done:
            return
        self._forget(call)
        call.settle(result, error)

    def retry(self, call: Call, error: CaasError, now: float) -> bool:
        """Send it again later, with the same id. False, and it has failed, when that was said too often."""
        call.tries += 1
        if call.kind == "fleeting" or call.tries >= MOST_TRIES:
            self.finish(call, error=error)
            return False
        spread = min(protocol.BACKOFF_MOST_S, protocol.BACKOFF_LEAST_S * 2**call.tries)
        call.due = now + (error.retry_after_ms or 0) / 1000 + self._chance() * spread
        return True

    def cut(self, error: CaasError) -> None:
        """The connection is lost: what was flying waits for the next one; what is of no use there has failed."""
        flying, self._flying, self._i = list(self._flying.values()), {}, HELLO
        for call in flying:
            call.flying_since, call.due = None, 0.0
        for call in [call for call in self._free if call.kind in ("bound", "fleeting")]:
            self.finish(call, error=error)

    def fail_all(self, error: CaasError) -> list[Call]:
        """Nothing will be sent any more: all that waits has failed."""
        waiting = [*self._free, *(call for lane in self._lanes.values() for call in lane)]
        for call in waiting:
            self.finish(call, error=error)
        return waiting

    def unsent(self) -> list[Call]:
        """Acts that no server has seen."""
        return [call for lane in self._lanes.values() for call in lane if not call.i]

    def largest_flying(self) -> Call | None:
        """Whichever flying call had the most bytes."""
        return max(self._flying.values(), key=lambda call: call.size, default=None)

    def flying_since(self) -> float | None:
        """When the oldest call that flies was sent."""
        return min((call.flying_since for call in self._flying.values() if call.flying_since is not None), default=None)

    def next_due(self, now: float) -> float | None:
        """When the next waiting call may be sent again; what may be sent already waits for answers, not for time."""
        heads = [call for call in self._free if call.flying_since is None]
        heads += [call for call in (_first_waiting(lane) for lane in self._lanes.values()) if call is not None]
        return min((call.due for call in heads if call.due > now), default=None)

    def _sendable(self, now: float) -> Iterator[Call]:
        for lane in self._lanes.values():
            yield from _sendable(lane, now)
        for call in self._free:
            if call.flying_since is None and call.due <= now:
                yield call

    def _forget(self, call: Call) -> None:
        if self._flying.get(call.i) is call:
            del self._flying[call.i]
        lane = self._free if call.lane is None else self._lanes.get(call.lane, deque())
        if call in lane:
            lane.remove(call)
            self._count -= 1
        if call.lane is not None and not lane:
            self._lanes.pop(call.lane, None)


def _sendable(lane: deque[Call], now: float) -> Iterator[Call]:
    """The calls at the front of a lane that may be sent: messages behind messages that fly; anything else alone."""
    before: Call | None = None
    for call in lane:
        if before is not None and not (before.is_message and call.is_message):
            return
        if call.flying_since is None:
            if call.due > now:
                return
            call.p.pop("after", None)
            if before is not None:
                call.p["after"] = before.p["id"]
            yield call
        before = call


def _first_waiting(lane: deque[Call]) -> Call | None:
    return next((call for call in lane if call.flying_since is None), None)
