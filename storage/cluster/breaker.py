"""What is away is not asked again and again: after a failure everybody is refused at once, and one a second may look whether it is back."""

from collections.abc import Callable

import trio

AGAIN_S = 1.0


class Breaker:
    """Used in trio's thread. `away` is what it knows: the last that asked had no answer."""

    def __init__(self, again_s: float = AGAIN_S, now: Callable[[], float] = trio.current_time) -> None:
        self._again_s, self._now = again_s, now
        self._closed_until: float | None = None
        self._since = 0.0

    @property
    def away_s(self) -> float:
        """For how long nobody who asked has had an answer; 0 while it is there."""
        return self._now() - self._since if self.away else 0.0

    @property
    def away(self) -> bool:
        """Whether the last that was asked had no answer."""
        return self._closed_until is not None

    def admits(self) -> bool:
        """Whether to ask. Of those who come while it is away, one in each `again_s` is let through."""
        if self._closed_until is None:
            return True
        if self._now() < self._closed_until:
            return False
        self._closed_until = self._now() + self._again_s
        return True

    def answered(self) -> None:
        """It is there."""
        self._closed_until = None

    def failed(self) -> None:
        """It was not."""
        if not self.away:
            self._since = self._now()
        self._closed_until = self._now() + self._again_s
