"""An actor: one mailbox, one task at most, and state nobody else touches."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from supervisor.reply import Later

if TYPE_CHECKING:
    from supervisor.life import Life
    from supervisor.ref import Ref

__all__ = ["Actor", "Exit", "Inbox"]

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Exit:
    """How an actor ended; `error` is None when it stopped on purpose or fell asleep."""

    error: Exception | None = None


class Inbox(Generic[M]):
    """The receiving end, seen only by the actor's own task."""

    __slots__ = ("_life",)

    def __init__(self, life: Life) -> None:
        self._life = life

    async def serve(self, handle: Callable[[M], object]) -> None:
        """Pass each message to `handle` (plain or async), its result to whoever asked; return when closed or idle too long."""
        await self._life.serve(handle, inspect.iscoroutinefunction(handle))


class Actor(Generic[M]):
    """One task, one bounded mailbox, and state nobody else touches. Subclass; override what you need.

    Unless `run` is overridden the task is there only while there is something to do: after `linger` seconds without a message
    it ends and the actor *rests* (its state, and nothing else); the next message brings a task back, and nobody can tell.
    After `idle` seconds it *sleeps*: `stopped` runs and this life is over.
    """

    __slots__ = ("__weakref__", "ref")

    mailbox: ClassVar[int] = 256
    """How many messages may wait."""
    idle: ClassVar[float] = float("inf")
    """Seconds without a message, then sleep."""
    linger: ClassVar[float] = 1.0
    """Seconds without a message, then rest."""
    patience: ClassVar[float] = 60.0
    """Seconds that `started` may take."""
    refusals: ClassVar[tuple[type[Exception], ...]] = ()
    """These answer an ask with "no"; the actor lives on."""

    receives_async: ClassVar[bool] = False
    keeps_task: ClassVar[bool] = False
    has_start: ClassVar[bool] = False
    has_stop: ClassVar[bool] = False
    settles: ClassVar[bool] = False
    takes_turns: ClassVar[bool] = True
    """Whether it never waits, so that its messages can be handled in turns (supervisor/crew.py)."""

    ref: Ref[M]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Look once, here, at what is overridden, so that no message has to."""
        super().__init_subclass__(**kwargs)
        cls.receives_async = inspect.iscoroutinefunction(cls.receive)
        cls.keeps_task = cls.run is not Actor.run
        cls.has_start = cls.started is not Actor.started
        cls.has_stop = cls.stopped is not Actor.stopped
        cls.settles = cls.settled is not Actor.settled
        cls.takes_turns = not (cls.receives_async or cls.keeps_task or cls.has_start)

    async def started(self) -> None:
        """Load state. Runs before the first message; an error here is raised to whoever started us, and `stopped` is not run."""

    def receive(self, message: M) -> object:
        """Handle one message; a plain `def` (fast) or an `async def`.

        What it returns answers an `ask`; return `self.later()` to answer afterwards. Any exception but a refusal ends this life.
        """
        raise TypeError(f"{type(self).__name__} got a message and does not override receive")

    def settled(self) -> None:
        """All that had gathered in the mailbox has been handled, or the pass gives way to others. Must not wait."""

    def may_sleep(self) -> bool:
        """Asked when `idle` seconds have passed; False keeps it awake for as long again. Must not wait."""
        return True

    async def stopped(self, exit: Exit) -> None:
        """Let go. Runs however we ended, shielded from cancellation for `Child.grace` seconds."""

    async def run(self, inbox: Inbox[M]) -> None:
        """Override to add a nursery around `inbox.serve` (a socket's reader and writer); such an actor keeps its task and never rests."""
        await inbox.serve(self.receive)

    def later(self) -> Later:
        """For `receive` to return: whoever asked waits until `answer` or `fail` is called on it."""
        return Later()
