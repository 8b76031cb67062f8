"""Requests that come while others are under way make the next trip together: one trip for many costs little more than one for one."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import trio

from storage.ports.errors import StorageAway, StorageError

A = TypeVar("A")
R = TypeVar("R")

MOST_WAITING = 10_000


class _Asked(Generic[A, R]):
    __slots__ = ("answer", "answered", "what")

    def __init__(self, what: A) -> None:
        self.what = what
        self.answered = trio.Event()
        self.answer: R | Exception


class Gathering(Generic[A, R]):
    """`work` answers many at once, each by a result or an error. `run` must be running; `lanes` trips are under way at most.

    What fails otherwise (a document that cannot be read back) fails for whoever asked for it: the others go again, each alone."""

    def __init__(self, work: Callable[[Sequence[A]], Awaitable[Sequence[R | StorageError]]], *, most: int, lanes: int = 2) -> None:
        self._work, self._most, self._lanes = work, most, lanes
        self._waiting: deque[_Asked[A, R]] = deque()
        self._news = trio.Event()

    async def ask(self, what: A) -> R:
        """What came of it. Raises StorageError, or what the work for it raised."""
        if len(self._waiting) >= MOST_WAITING:
            raise StorageAway("too much waits for MongoDB")
        asked = _Asked[A, R](what)
        self._waiting.append(asked)
        self._news.set()
        try:
            await asked.answered.wait()
        except BaseException:
            if asked in self._waiting:
                self._waiting.remove(asked)
            raise
        if isinstance(asked.answer, Exception):
            raise asked.answer
        return asked.answer

    async def run(self) -> None:
        """Go, for as long as the backend is open."""
        async with trio.open_nursery() as nursery:
            for _ in range(self._lanes):
                nursery.start_soon(self._lane)

    async def _lane(self) -> None:
        while True:
            while not self._waiting:
                if self._news.is_set():
                    self._news = trio.Event()
                await self._news.wait()
            await self._trip([self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))])

    async def _trip(self, asked: Sequence[_Asked[A, R]]) -> None:
        answers: Sequence[R | Exception]
        try:
            answers = await self._work([each.what for each in asked])
        except StorageError as error:
            answers = [error] * len(asked)
        except Exception as error:  # noqa: BLE001 - the life that ends here is that of whoever asked for it, and not the backend's
            if len(asked) > 1:
                for each in asked:
                    await self._trip([each])
                return
            answers = [error]
        for each, answer in zip(asked, answers, strict=True):
            each.answer = answer
            each.answered.set()
