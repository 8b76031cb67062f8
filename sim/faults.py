"""What may go wrong in the simulated world. Everything is drawn from one generator and waits in the world's own time."""

import random
from collections.abc import Collection

import trio

from storage.memory.weather import Fate
from storage.ports.errors import OutcomeUnknown, StorageAway

FAULTS = {
    "crash": "a worker is gone at any step of any of its tasks, and comes back a moment later, or another in its place",
    "move": "conversations go from living workers to others, also while appends are on their way",
    "cut": "the links of a worker to its siblings break for a while",
    "half_open": "a connection stands and brings nothing any more: in one direction or both",
    "delay": "the log and the documents take their time, and requests overtake each other",
    "lost": "the log is away, or its answer is lost: written or not",
    "duplicate": "what a client sends comes twice",
    "slow_disk": "nothing is written for seconds",
    "full_disk": "there is no room for seconds",
    "clock": "a worker's clock jumps by up to a day, and back",
    "lag": "readers and followers stand still for seconds",
}
"""By the name that `caas sim --faults` takes."""

SPELL_S = 4.0
"""How long a spell of bad weather lasts at most."""


class Skies:
    """The weather of the store (`storage/memory/weather.py`): calm, unless what is switched on brings something."""

    def __init__(self, seed: int, faults: Collection[str]) -> None:
        self._chance, self._faults = random.Random(seed), faults
        self._until = {"slow_disk": 0.0, "lag": 0.0}

    def spell(self, fault: str) -> None:
        """Bad weather of a kind begins now."""
        self._until[fault] = trio.current_time() + self._chance.random() * SPELL_S

    def heal(self) -> None:
        """From now on it is calm."""
        self._faults = ()
        self._until = dict.fromkeys(self._until, 0.0)

    def of_write(self) -> Fate:
        """See the port."""
        wait = max(0.0, self._until["slow_disk"] - trio.current_time())
        lands, told = wait + self._delay(), wait + self._delay()
        chance = self._chance.random() if "lost" in self._faults else 1.0
        if chance < 0.02:
            return Fate(None, told, StorageAway("the simulated log is away"))
        if chance < 0.07:
            return Fate(lands if self._chance.random() < 0.5 else None, told, OutcomeUnknown("the simulated answer was lost"))
        return Fate(lands, lands + told)

    def read_lag_s(self) -> float:
        """See the port."""
        return self._delay() + max(0.0, self._until["lag"] - trio.current_time())

    def read_most(self) -> int:
        """See the port."""
        return 1 + self._chance.randrange(20) if "delay" in self._faults else 1_000

    def survives(self) -> bool:
        """See the port."""
        return self._chance.random() < 0.5

    def _delay(self) -> float:
        return self._chance.random() * 0.05 if "delay" in self._faults else 0.0
