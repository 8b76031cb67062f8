"""The way from a node to its store: every write is a small journey that the weather decides about."""

import heapq
from collections.abc import Callable

import trio

from storage.memory.weather import Weather
from storage.ports.errors import StorageAway, StorageError

MOST_ON_THE_WAY = 100_000
_MANY_LANES = 10_000
Done = Callable[[StorageError | None], None]


class _Journey:
    """One write: it arrives (or not), and its asker hears (or the node is gone)."""

    __slots__ = ("_done", "_error", "_land")

    def __init__(self, land: Callable[[], None], done: Done, error: StorageError | None) -> None:
        self._land, self._done, self._error = land, done, error

    def arrive(self) -> None:
        try:
            self._land()
        except StorageError as refused:
            self._error = self._error or refused

    def answer(self) -> None:
        self._done(self._error)


class Way:
    """Runs as a task of its node. Writes with the same `lane` never overtake each other."""

    def __init__(self, weather: Weather) -> None:
        self._weather = weather
        self._due: list[tuple[float, int, _Journey, bool, bool]] = []
        """When, the how-many-eth, what, whether it arrives then, whether it is answered then."""
        self._lanes: dict[object, float] = {}
        self._count = 0
        self._news = trio.Event()
        self._crashed = False

    def send(self, land: Callable[[], None], done: Done, lane: object = None) -> None:
        """Have `land` called when the write arrives, if it does, and `done` when the answer is back; never before this returns.
        What `land` raises of StorageError is the answer. After a crash nothing leaves any more."""
        if self._crashed:
            return None
        now, fate = trio.current_time(), self._weather.of_write()
        if len(self._due) >= MOST_ON_THE_WAY:
            return self._at(now, _Journey(land, done, StorageAway("too much is on its way")), answered=True)
        journey = _Journey(land, done, fate.error)
        lands = None if fate.lands_after_s is None else self._in_lane(lane, now, now + fate.lands_after_s)
        told = now + fate.told_after_s
        if lands is not None and fate.error is None and told <= lands:
            return self._at(lands, journey, arrives=True, answered=True)
        if lands is not None:
            self._at(lands, journey, arrives=True)
        self._at(told, journey, answered=True)

    async def write(self, land: Callable[[], None], lane: object = None) -> None:
        """The same for whoever waits. Raises what the weather or `land` brings."""
        answered, answers = trio.Event(), list[StorageError | None]()

        def done(error: StorageError | None) -> None:
            answers.append(error)
            answered.set()

        self.send(land, done, lane)
        await answered.wait()
        if answers[0] is not None:
            raise answers[0]

    async def run(self) -> None:
        """Let things happen when they are due."""
        while True:
            with trio.move_on_at(self._due[0][0] if self._due else float("inf")):
                await self._news.wait()
            self._news = trio.Event()
            while self._due and self._due[0][0] <= trio.current_time():
                _, _, journey, arrives, answered = heapq.heappop(self._due)
                if arrives:
                    journey.arrive()
                if answered:
                    journey.answer()

    def crash(self) -> None:
        """The node is gone: of what was under way some arrives all the same, and nobody is told."""
        self._crashed = True
        while self._due:
            _, _, journey, arrives, _ = heapq.heappop(self._due)
            if arrives and self._weather.survives():
                journey.arrive()

    def _in_lane(self, lane: object, now: float, lands: float) -> float:
        if lane is None:
            return lands
        if len(self._lanes) > _MANY_LANES:
            self._lanes = {known: until for known, until in self._lanes.items() if until > now}
        self._lanes[lane] = max(lands, self._lanes.get(lane, lands))
        return self._lanes[lane]

    def _at(self, due: float, journey: _Journey, *, arrives: bool = False, answered: bool = False) -> None:
        self._count += 1
        heapq.heappush(self._due, (due, self._count, journey, arrives, answered))
        self._news.set()
