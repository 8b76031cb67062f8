"""The receiving half of a life: what waits, who waits for room, and who waits for answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Any

import trio

from supervisor.actor import Exit
from supervisor.errors import ActorStopped, AskTimeout, MailboxFull
from supervisor.reply import Answer, Reply, deliver

__all__ = ["Envelope", "Mailbox"]

Envelope = tuple[Any, Reply | None]


class Waiter:
    """A message whose sender waits for room in the mailbox."""

    __slots__ = ("admitted", "message", "reply")

    def __init__(self, message: object, reply: Reply | None, admitted: Reply | None) -> None:
        self.message = message
        self.reply = reply
        self.admitted = admitted


class Mailbox(ABC):
    """A bounded queue and the line in front of it. Not a trio channel: putting is plain code, and one that rests has no queue at all."""

    __slots__ = ("closed", "exit", "limit", "parked", "queue", "waiters")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.queue: deque[Envelope] | None = None
        self.waiters: deque[Waiter] | None = None
        self.parked: trio.lowlevel.Task | None = None
        self.closed = False
        self.exit: Exit | None = None  # how it ended, known before `stopped` runs

    @property
    @abstractmethod
    def name(self) -> str:
        """Unique among the living of its owner, for people and logs."""

    @property
    def depth(self) -> int:
        """Messages that wait, those of senders who wait for room included."""
        return len(self.queue or ()) + len(self.waiters or ())

    def put(self, message: object, reply: Reply | None) -> None:
        """Into the mailbox, and see to it that a task comes. Raises MailboxFull or ActorStopped."""
        queue = self.queue
        if queue is None:
            queue = self.wake()
        elif self.closed:
            raise self.stopped_error()
        elif len(queue) >= self.limit:
            raise MailboxFull(self.name, self.limit)
        queue.append((message, reply))
        task = self.parked
        if task is not None:
            self.parked = None
            trio.lowlevel.reschedule(task)

    @abstractmethod
    def wake(self) -> deque[Envelope]:
        """Out of rest: a queue, and a task to drain it."""

    async def send(self, message: object) -> None:
        """As put, but waits, first come first served, while the mailbox is full."""
        try:
            self.put(message, None)
        except MailboxFull:
            await self._send_waiting(message)
        else:
            await trio.lowlevel.checkpoint_if_cancelled()

    async def _send_waiting(self, message: object) -> None:
        admitted = Answer(trio.lowlevel.current_task())
        await self._wait(admitted, Waiter(message, None, admitted))
        if admitted.error is not None:
            raise admitted.error

    async def ask(self, message: object, timeout: float) -> Any:
        """Put (waiting for room if need be) and await the answer; `timeout` covers both."""
        answer = Answer(trio.lowlevel.current_task())
        waiter = None
        try:
            self.put(message, answer)
        except MailboxFull:
            waiter = Waiter(message, answer, None)
        with trio.CancelScope(deadline=trio.current_time() + timeout) as scope:
            await self._wait(answer, waiter)
        if scope.cancelled_caught:
            raise AskTimeout(self.name, timeout)
        if answer.error is not None:
            raise answer.error
        return answer.value

    async def _wait(self, answer: Answer, waiter: Waiter | None) -> None:
        """Park until answered. A waiter not admitted by then is withdrawn: it was never sent."""
        if waiter is None:
            await trio.lowlevel.wait_task_rescheduled(answer.abandon)
            return
        waiters = self.waiters = self.waiters or deque()
        waiters.append(waiter)

        def withdraw(raise_cancel: object) -> trio.lowlevel.Abort:
            if waiter in waiters:
                waiters.remove(waiter)
            return answer.abandon(raise_cancel)

        await trio.lowlevel.wait_task_rescheduled(withdraw)

    def stopped_error(self, *, begun: bool = False) -> ActorStopped:
        """A fresh ActorStopped that names the cause of death."""
        error = ActorStopped(self.name, begun=begun)
        if self.exit is not None:
            error.__cause__ = self.exit.error
        return error

    def admit(self, queue: deque[Envelope]) -> None:
        waiters = self.waiters
        assert waiters is not None
        waiter = waiters.popleft()
        queue.append((waiter.message, waiter.reply))
        if waiter.admitted is not None:
            waiter.admitted(None, None)

    def settle_waiting(self, refused: Exception | None) -> None:
        """It ended: all that waits, in the queue or in front of it, hears so, or why it was refused."""
        queue, self.queue = self.queue, None
        replies = [reply for _, reply in queue or ()]
        replies += [waiter.admitted or waiter.reply for waiter in self.waiters or ()]
        if self.waiters:
            self.waiters.clear()
        for reply in replies:
            if reply is not None:
                deliver(reply, None, refused or self.stopped_error())
