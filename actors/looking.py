"""`conversation.watch` on its way: answered in one step where all is at hand, else by an errand."""

from collections.abc import Callable, Generator
from typing import Any

from msgspec import UNSET

from actors.keys import Key
from actors.watching import Watched, Watching, watched_reply
from protocol.errors import Refused
from services.conversations.model import Watch

Reply = Callable[[], dict[str, Any]]


class Looking:
    """`conversation.watch`: awaited it gives what makes the reply, and joins in the same step; `now` gives it where nothing has to be waited for."""

    __slots__ = ("_p", "_watching", "key")

    def __init__(self, watching: Watching, p: Watch, key: Key) -> None:
        self._watching, self._p, self.key = watching, p, key

    def now(self) -> tuple[Reply | None, Exception | None] | None:
        """It, or why not; None: wait."""
        try:
            found = self._watching.prepare_now(*self._asked())
        except Refused as refused:
            return None, refused
        return None if found is None else (self._replying(found), None)

    def __await__(self) -> Generator[Any, Any, Reply]:
        return self._wait().__await__()

    async def _wait(self) -> Reply:
        return self._replying(await self._watching.prepare(*self._asked()))

    def _asked(self) -> tuple[str, Key, int | None, int | None]:
        after, epoch = (None if value is UNSET else value for value in (self._p.after, self._p.epoch))
        return self._p.c, self.key, after, epoch

    def _replying(self, found: Watched) -> Reply:
        return lambda: watched_reply(found, self._watching.begin(found))
