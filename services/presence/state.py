"""Whether somebody is there: pure. What is known of their devices and what they have chosen make what they and the others see.

Devices are counted by worker: each says whether it has any, and whether all of them have been idle. When the last one has gone, the user
is taken to be there for 30 s more, so that nobody sees a client come back.
"""

from collections.abc import Iterable
from typing import Any

from services.presence.model import Chosen

AWAY_AFTER_S = 300.0
"""Without a command on any device."""
GONE_AFTER_S = 30.0
"""Without any device."""
SAME_MS = 2_000
"""Two nodes that see the same device go may see it so far apart."""


class Devices:
    """What is known of a user's devices. `there`: yes, no, or None when it is not known."""

    __slots__ = ("_workers", "idle", "left_at", "there")

    def __init__(self) -> None:
        self._workers: dict[str, bool] = {}
        self.there: bool | None = None
        self.idle = False
        """The last that was known while there were any."""
        self.left_at: int | None = None
        """When the last one went (ms), while the user is taken to be there without."""

    @property
    def connected(self) -> bool:
        """Whether there are any."""
        return bool(self._workers)

    @property
    def workers(self) -> tuple[str, ...]:
        """Where."""
        return tuple(self._workers)

    def here(self, worker: str, idle: bool) -> None:
        """A worker has some; `idle`: none of them has sent a command for long."""
        self._workers[worker] = idle
        self.idle = all(self._workers.values())
        self.there, self.left_at = True, None

    def left(self, worker: str, now_ms: int) -> bool:
        """A worker has none any more. Whether these were the last."""
        if self._workers.pop(worker, None) is None:
            return False
        if self._workers:
            self.idle = all(self._workers.values())
            return False
        self.left_at = now_ms
        return True

    def forget(self, workers: Iterable[str]) -> None:
        """Nothing is known of these any more, nor of the user if these were all."""
        for worker in workers:
            self._workers.pop(worker, None)
        if not self._workers and self.left_at is None:
            self.there = None

    def believe(self, now_ms: int) -> bool:
        """Somebody saw the user here a moment ago, and nothing else is known. Whether that makes a difference."""
        if self.there is not None:
            return False
        self.there, self.left_at = True, now_ms
        return True

    def just_left(self, at_ms: int) -> bool:
        """Whether the last went, and about then: clocks and ways differ."""
        return self.left_at is not None and not self._workers and abs(self.left_at - at_ms) < SAME_MS

    def absent(self) -> None:
        """All workers say that they have none."""
        self.there, self.left_at = False, None

    def untold(self) -> None:
        """Not all workers can be asked."""
        self.there = None


def own_view(there: bool | None, idle: bool, chosen: Chosen) -> dict[str, Any]:
    """What users see of themselves: `status`, with `text` while they are there, `last_seen_at` while not."""
    if there is None:
        return {"status": "unknown"}
    if not there:
        return {"status": "offline", **({"last_seen_at": chosen.seen_at} if chosen.seen_at else {})}
    status = "away" if idle and chosen.status == "online" else chosen.status
    return {"status": status, **({"text": chosen.text} if chosen.text else {})}


def others_view(there: bool | None, idle: bool, chosen: Chosen) -> dict[str, Any]:
    """What the others see: who is invisible is not there."""
    return own_view(False if chosen.status == "invisible" else there, idle, chosen)
