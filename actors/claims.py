"""Claims: what this worker tells a room and means until it takes it back, as "I have devices of this user".

A room keeps claims in memory alone. So a claim is said again whenever the room may be another one: when the conversation has moved, its
room has ended, or the link to its worker broke; and until it is heard. What a claim says is always what is true now: a claim that is over
says that, and is forgotten once that is heard.
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import trio

from actors.alarms import Alarms
from actors.keys import Key
from actors.messages import Signal
from actors.router import Router
from services.scope import Scope

AGAIN_S = 0.5
AT_ONCE, PAUSE_S = 500, 0.05
"""Many claims are said anew in portions, so that meanwhile the worker can do other things."""


class Claim(Protocol):
    """One claim, at the room of `key`."""

    key: Key
    number: int
    """How often it has been said; an answer to an earlier time is void."""
    unheard_since: float

    @property
    def scope(self) -> Scope: ...

    @property
    def over(self) -> bool:
        """Whether it is to be forgotten once it is heard."""
        ...

    def word(self) -> tuple[str, dict[str, Any]]:
        """What it says now: a signal."""
        ...

    def heard(self, answer: Any) -> None:
        """The room has answered."""
        ...

    def unheard(self, seconds: float) -> None:
        """The room could not be told, for so long by now."""
        ...


C = TypeVar("C", bound=Claim)


class Claims(Generic[C]):
    """The claims of one kind that a worker makes, one a conversation."""

    def __init__(self, router: Router, alarms: Alarms) -> None:
        self._router, self._alarms = router, alarms
        self._made: dict[Key, C] = {}
        self._anew: deque[C] = deque()

    def __len__(self) -> int:
        return len(self._made)

    def find(self, key: Key) -> C | None:
        """The claim at this room."""
        return self._made.get(key)

    def make(self, claim: C) -> C:
        """Keep a claim from now on; whoever makes it says it."""
        self._made[claim.key] = claim
        return claim

    def say(self, claim: C) -> None:
        """Tell the room how it is now."""
        claim.number, claim.unheard_since = claim.number + 1, trio.current_time()
        self._post(claim, claim.number)

    def renew(self, key: Key) -> None:
        """The room may be another one."""
        if claim := self._made.get(key):
            self.say(claim)

    def renew_where(self, concerned: Callable[[Key], bool]) -> None:
        """The same for all rooms that are concerned."""
        self._say_all(claim for key, claim in self._made.items() if concerned(key))

    def _say_all(self, claims: Iterable[C]) -> None:
        waits = bool(self._anew)
        self._anew.extend(claims)
        if not waits:
            self._portion()

    def _portion(self) -> None:
        for _ in range(min(AT_ONCE, len(self._anew))):
            claim = self._anew.popleft()
            if self._made.get(claim.key) is claim:
                self.say(claim)
        if self._anew:
            self._alarms.after(PAUSE_S, self._portion)

    def _post(self, claim: C, number: int) -> None:
        if claim.number == number:
            self._router.ask(claim.key, Signal(claim.scope, *claim.word()), partial(self._answered, claim, number))

    def _answered(self, claim: C, number: int, answer: Any, error: Exception | None) -> None:
        if claim.number != number:
            return
        if error is not None:
            claim.unheard(trio.current_time() - claim.unheard_since)
            self._alarms.after(AGAIN_S, partial(self._post, claim, number))
        elif claim.over:
            del self._made[claim.key]
        else:
            claim.heard(answer)
