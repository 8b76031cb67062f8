"""How an answer finds whoever asked: at once, or later."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import trio

__all__ = ["Answer", "Later", "Reply", "deliver"]

log = logging.getLogger("supervisor")

Reply = Callable[[Any, Exception | None], None]
"""Called once, with the result and None, or with None and an error. It must not wait and must not raise."""


def deliver(reply: Reply, value: object, error: Exception | None) -> None:
    """Hand an answer over. A callback that raises is the asker's mistake: it is logged, and the answering actor lives on."""
    try:
        reply(value, error)
    except Exception:
        log.exception("a reply callback raised")


class Answer:
    """What a task that asks waits on: a `Reply` that wakes it. Lighter than an event and a channel together."""

    __slots__ = ("error", "task", "value")

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self.task: trio.lowlevel.Task | None = task
        self.value: object = None
        self.error: Exception | None = None

    def __call__(self, value: object, error: Exception | None) -> None:
        task, self.task = self.task, None
        if task is not None:
            self.value, self.error = value, error
            trio.lowlevel.reschedule(task)

    def abandon(self, _: object) -> trio.lowlevel.Abort:
        """The asker was cancelled or ran out of time; an answer that comes now finds nobody."""
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


class Later:
    """An answer that is not known yet. `receive` returns it; whoever comes to know calls `answer` or `fail`.

    Only the first call counts. If the actor ends before, whoever asked gets ActorStopped.
    """

    __slots__ = ("_forget", "_outcome", "_reply")

    def __init__(self) -> None:
        self._reply: Reply | None = None
        self._outcome: tuple[object, Exception | None] | None = None
        self._forget: Callable[[Later], object] | None = None

    @property
    def settled(self) -> bool:
        """Whether it has been answered or has failed."""
        return self._outcome is not None

    def answer(self, value: object = None) -> None:
        """Settle the ask with a result."""
        self._settle(value, None)

    def fail(self, error: Exception) -> None:
        """Settle the ask with an error, which is raised to whoever asked."""
        self._settle(None, error)

    def attach(self, reply: Reply | None, forget: Callable[[Later], object]) -> bool:
        """Called by the actor's life when `receive` returned this. True while the answer is still open."""
        self._reply = reply
        if self._outcome is None:
            self._forget = forget
            return True
        if reply is not None:
            deliver(reply, *self._outcome)
        return False

    def _settle(self, value: object, error: Exception | None) -> None:
        if self._outcome is not None:
            return
        self._outcome = (value, error)
        if self._forget is not None:
            self._forget(self)
            self._forget = None
        if self._reply is not None:
            deliver(self._reply, value, error)
