"""A task of the worker as a child of its supervisor: restarted when it fails, cancelled when the worker stops."""

from collections.abc import Awaitable, Callable
from typing import Any

from supervisor import Actor, Exit, Inbox


class Background(Actor[None]):
    """Runs `work` for as long as it lives; then `leave`, if there is one, within the child's grace."""

    def __init__(self, work: Callable[[], Awaitable[Any]], leave: Callable[[], Awaitable[Any]] | None = None) -> None:
        self._work, self._leave = work, leave

    async def run(self, inbox: Inbox[None]) -> None:
        """The work itself."""
        await self._work()

    async def stopped(self, exit: Exit) -> None:
        """What is to be done before leaving."""
        if self._leave is not None:
            await self._leave()
