"""A user's connections on this worker, counted together: whether there are any, and whether all of them have been idle for long."""

from collections.abc import Callable
from typing import Any

import trio

from actors.alarms import Alarm, Alarms
from actors.keys import Key
from services.presence.state import AWAY_AFTER_S
from services.scope import Scope

_MOMENT_S = 0.001


class Here:
    """A claim (actors/claims.py) at the user's personal room. It speaks only when something changes, however much is sent."""

    __slots__ = ("_alarm", "_alarms", "_note", "_say", "count", "idle", "key", "last", "number", "scope", "unheard_since", "worker")

    def __init__(self, key: Key, scope: Scope, worker: str, alarms: Alarms, say: Callable[["Here"], None],
                 note: Callable[["Here"], None]) -> None:
        """`say`: it is another claim now; `note`: it is that, or other connections make the same one."""
        self.key, self.scope, self.worker = key, scope, worker
        self._alarms, self._say, self._note = alarms, say, note
        self._alarm: Alarm | None = None
        self.count, self.number, self.idle = 0, 0, False
        self.last = self.unheard_since = trio.current_time()

    @property
    def over(self) -> bool:
        """Whether the last one has ended."""
        return not self.count

    def word(self) -> tuple[str, dict[str, Any]]:
        """That they are here; or not any more."""
        if self.over:
            return "presence.left", {"worker": self.worker}
        return "presence.here", {"worker": self.worker, "idle": self.idle}

    def heard(self, answer: Any) -> None:
        """Nothing follows."""

    def unheard(self, seconds: float) -> None:
        """Nobody waits for it."""

    def came(self) -> None:
        """One more; it has just said hello."""
        self.count += 1
        changed = self.count == 1 or self.idle
        self.idle, self.last = False, trio.current_time()
        self._arm()
        self._note(self)
        if changed:
            self._say(self)

    def went(self) -> None:
        """One less."""
        self.count -= 1
        self._note(self)
        if self.over:
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None
            self._say(self)

    def used(self) -> None:
        """One has sent a command."""
        self.last = trio.current_time()
        if self.idle:
            self.idle = False
            self._arm()
            self._note(self)
            self._say(self)

    def _arm(self) -> None:
        if self._alarm is None:
            self._alarm = self._alarms.after(AWAY_AFTER_S, self._look)

    def _look(self) -> None:
        """The one alarm of a user, who may have sent something since it was set."""
        left = self.last + AWAY_AFTER_S - trio.current_time()
        if left > _MOMENT_S:
            self._alarm = self._alarms.after(left, self._look)
            return
        self._alarm, self.idle = None, True
        self._note(self)
        self._say(self)
