"""What may befall a request on its way to storage: nothing (the default), or what a seeded storm brings.

A log may take its time, refuse, or leave the asker in the dark; requests of different appenders overtake each other. All of
it is drawn from one generator and waits in trio's time, so that the same seed gives the same weather.
"""

from typing import NamedTuple, Protocol

from protocol.world import Rng
from storage.ports.errors import OutcomeUnknown, StorageAway, StorageError


class Fate(NamedTuple):
    """What becomes of one request. It is written when `lands` says so, and the asker is told `error` (None: success)."""

    lands_after_s: float | None = 0.0
    """Seconds until it is written; None: it never is."""
    told_after_s: float = 0.0
    """Seconds until the asker hears; of a success, never before it is written."""
    error: StorageError | None = None


FAIR = Fate()


class Weather(Protocol):
    """Asked once for every request."""

    def of_write(self) -> Fate:
        """What becomes of an append, a step of storing or a document."""
        ...

    def read_lag_s(self) -> float:
        """How long a node waits before it takes the next rows of the log."""
        ...

    def read_most(self) -> int:
        """How many rows it then takes at most, at least 1."""
        ...

    def survives(self) -> bool:
        """Whether a write that was on its way when its node crashed arrives all the same."""
        ...


class Calm:
    """Everything arrives at once, in order."""

    def of_write(self) -> Fate:
        return FAIR

    def read_lag_s(self) -> float:
        return 0.0

    def read_most(self) -> int:
        return 1_000

    def survives(self) -> bool:
        return False


class Storm:
    """Delays up to `slowest_s`; of all writes the shares `away` and `unknown` (0 to 1) fail so. Half of the unknown ones land."""

    def __init__(self, rng: Rng, *, slowest_s: float = 0.05, away: float = 0.02, unknown: float = 0.05) -> None:
        self._rng, self._slowest, self._away, self._unknown = rng, slowest_s, away, unknown

    def of_write(self) -> Fate:
        chance, lands, told = self._rng.random(), self._delay(), self._delay()
        if chance < self._away:
            return Fate(None, told, StorageAway("the simulated log is away"))
        if chance < self._away + self._unknown:
            return Fate(lands if self._rng.random() < 0.5 else None, told, OutcomeUnknown("the simulated answer was lost"))
        return Fate(lands, lands + told)

    def read_lag_s(self) -> float:
        return self._delay()

    def read_most(self) -> int:
        return 1 + int(self._rng.random() * 20)

    def survives(self) -> bool:
        return self._rng.random() < 0.5

    def _delay(self) -> float:
        return self._rng.random() * self._slowest
