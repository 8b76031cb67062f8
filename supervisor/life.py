"""One life of an actor, from its first message to its end: the inside of Ref, Supervisor and Directory.

Three states matter. *Working*: there is a mailbox and a task. *Resting*: neither, only this object and the actor's own state.
*Ended*. All changes of state happen in stretches of code without an `await`, so a message is either in a mailbox that will be
drained or was refused; it never falls between two lives.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from typing import Any, Protocol

import outcome
import trio

from supervisor.actor import Actor, Exit, Inbox
from supervisor.errors import StartTimeout
from supervisor.mailbox import Envelope, Mailbox
from supervisor.ref import Ref
from supervisor.reply import Later, Reply, deliver
from supervisor.sweeper import Sweeper

__all__ = ["Life", "Owner", "Work"]

log = logging.getLogger("supervisor")

BATCH = 64
"""Messages handled before other tasks may run."""
SLICE = 0.0015
"""Seconds of handling before other tasks may run."""
LOOK = 15
"""The clock is looked at each 16 messages."""

Work = Callable[[], Awaitable[None]]


class Owner(Protocol):
    """Who keeps the books of a life: a Supervisor or a Directory. All three are called without a checkpoint around them."""

    sweeper: Sweeper

    @property
    def holds(self) -> bool:
        """Whether nobody gets a turn just now."""

    def name_of(self, key: str) -> str: ...

    def spawn(self, life: Life, work: Work) -> None: ...

    def enlist(self, life: Life) -> bool:
        """Have it get a turn (`Life.turn`); False: it needs a task."""

    def closed(self, life: Life) -> None:
        """It takes no more messages: out of the books."""

    def died(self, life: Life, error: Exception, culprit: object) -> None:
        """An error ended it; `culprit` is the message it was handling, or None."""

    def ended(self, life: Life) -> None:
        """Its `stopped` is done; nothing of it runs any more."""


class Life(Mailbox):
    """The mailbox, the task if there is one, and who waits for what."""

    __slots__ = (
        "_gone_event",
        "_open_event",
        "_rest_watched",
        "_sleep_watched",
        "actor",
        "after",
        "crashed",
        "culprit",
        "gone",
        "grace",
        "key",
        "last",
        "laters",
        "opened",
        "owner",
        "processed",
        "scope",
    )

    def __init__(self, key: str, actor: Actor[Any], owner: Owner, grace: float, after: Life | None = None) -> None:
        if hasattr(actor, "ref"):
            raise ValueError(f"{actor!r} has lived before: `make` must return a fresh actor each time")
        super().__init__(actor.mailbox)
        self.key = key
        self.actor = actor
        self.owner = owner
        self.grace = grace
        self.after = after  # the life before this one, while its `stopped` may still run
        self.laters: dict[Later, None] | None = None
        self.scope: trio.CancelScope | None = None
        self.opened = False
        self.gone = False  # `stopped` has run too
        self.crashed = False  # by what is nobody's own failure: the house goes down with it
        self.culprit: object = None
        self.processed = 0
        self.last = -inf
        self._rest_watched = False
        self._sleep_watched = False
        self._open_event: trio.Event | None = None
        self._gone_event: trio.Event | None = None
        actor.ref = Ref(self)

    @property
    def name(self) -> str:
        """Unique among the living of its owner, for people and logs."""
        return self.owner.name_of(self.key)

    @property
    def state(self) -> str:
        """One word for `tree`: starting, working, waiting, resting, stopping or stopped."""
        if self.closed:
            return "stopped" if self.gone else "stopping"
        if self.queue is None:
            return "resting" if self.opened else "new"
        if not self.opened:
            return "starting"
        return "working" if self.parked is None else "waiting"

    def wake(self) -> deque[Envelope]:
        """Out of rest: a queue, and a task to drain it."""
        if self.closed:
            raise self.stopped_error()
        queue: deque[Envelope] = deque()
        if self.after is None and self.actor.takes_turns and self.owner.enlist(self):
            self.queue = queue
            return queue
        self.owner.spawn(self, self.work)
        self.queue = queue
        self.scope = trio.CancelScope()
        return queue

    def put_first(self, message: object, reply: Reply | None) -> None:
        """As put; but one that rests, and never waits, has its turn in this very call: nothing comes between, and nothing is woken for it."""
        if self.queue is not None or self.closed or self.after is not None or not self.actor.takes_turns or self.owner.holds:
            self.put(message, reply)
            return
        self.queue = deque(((message, reply),))
        try:
            if self.turn(trio.current_time()):
                self.owner.enlist(self)
        except BaseException as error:  # noqa: BLE001 (nobody survives it, whoever put the message least of all)
            self.owner.spawn(self, partial(_fall, error))

    # Ending: by others.

    def stop(self) -> None:
        """Close the mailbox; what is in it is handled first."""
        if self.closed:
            return
        self._close()
        if self.queue is None:
            self._end_without_task()
        elif self.parked is not None:
            self._resume()

    def cancel(self) -> None:
        """Stop without handling what waits; its `stopped` still runs."""
        self._close()
        if self.scope is not None:
            self.scope.cancel()
        elif self.exit is None:
            self._end_without_task()

    async def wait_gone(self) -> Exit:
        """Until nothing of it runs any more."""
        if not self.gone:
            if self._gone_event is None:
                self._gone_event = trio.Event()
            await self._gone_event.wait()
        return self.exit or Exit()

    async def wait_open(self) -> None:
        """Until `started` has run; raises what it raised, or ActorStopped if it was stopped before."""
        if not self.opened and not self.gone:
            if self._open_event is None:
                self._open_event = trio.Event()
            await self._open_event.wait()
        if not self.opened:
            raise (self.exit and self.exit.error) or self.stopped_error()

    # Living: in the actor's own task.

    async def work(self) -> None:
        """One task's worth of life: until there is nothing to do for a while, or until the end."""
        exit, rests, scope = Exit(), False, self.scope or trio.CancelScope()
        try:
            with scope:
                if not scope.cancel_called:
                    rests = await self._live()
        except MemoryError:  # says nothing about this actor: what else was left half done, nobody knows
            self.crashed = True
            raise
        except Exception as error:  # noqa: BLE001 (a life ends here, whatever ended it; who restarts it is told)
            exit = Exit(error)
        except BaseException:
            self.crashed = True
            raise
        finally:
            if not rests:
                self._end(exit)
                await self._let_go()

    def turn(self, now: float) -> bool:
        """What is in the mailbox, up to BATCH messages, without a task of its own; True: there is more."""
        queue = self.queue
        if queue is None or self.exit is not None:  # cancelled before its turn came
            return False
        if not self.opened:
            self.opened = True
            if self._open_event is not None:
                self._open_event.set()
        try:
            if self._handle_some(queue):
                return True
        except MemoryError:
            self.crashed = True
            raise
        except Exception as error:  # noqa: BLE001 (a life ends here, whatever ended it)
            self._end_turn(Exit(error))
            return False
        if self.exit is None:
            self.last = now
            self._end_turn(Exit()) if self.closed else self._rest()
        return False

    def _handle_some(self, queue: deque[Envelope]) -> bool:
        actor, count = self.actor, 0
        handle = actor.receive
        while queue and self.exit is None and count < BATCH:
            message, reply = queue.popleft()
            try:
                result = handle(message)
            except actor.refusals as error:
                if reply is not None:
                    deliver(reply, None, error)
            except BaseException as error:
                self._blame(message, reply, error)
                raise
            else:
                if isinstance(result, Later):
                    self._defer(result, reply)
                elif reply is not None:
                    deliver(reply, result, None)
            if self.waiters:
                self.admit(queue)
            count += 1
        self.processed += count
        if self.exit is not None:
            return False
        if actor.settles:
            actor.settled()
        return bool(queue) and self.exit is None

    def _end_turn(self, exit: Exit) -> None:
        self._end(exit)
        if self.actor.has_stop:
            self.owner.spawn(self, self._let_go)
        else:
            self._bury()

    async def _live(self) -> bool:
        if not self.opened:
            await self._open()
        actor = self.actor
        if not actor.keeps_task:
            return await self.serve(actor.receive, actor.receives_async)
        await actor.run(Inbox(self))
        return False

    async def _open(self) -> None:
        if self.after is not None:  # bounded by the grace of the life before
            await self.after.wait_gone()
            self.after = None
        if self.actor.has_start:
            await self._start()
        self.opened = True
        if self._open_event is not None:
            self._open_event.set()

    async def _start(self) -> None:
        patience = self.actor.patience
        if patience == inf:  # no scope around it: such a `started` may open a nursery that `run` closes
            await self.actor.started()
            return
        with trio.move_on_after(patience) as scope:
            await self.actor.started()
        if scope.cancelled_caught:
            raise StartTimeout(self.name, patience)

    async def serve(self, handle: Callable[[Any], Any], waits: bool) -> bool:
        """Drain and park in turn. True: go to rest; False: the mailbox is closed and empty."""
        while True:
            await self._drain(handle, waits)
            if self.closed:
                return False
            if self.actor.linger <= 0 and not self.actor.keeps_task:
                self.last = trio.current_time()
                self._rest()
                return True
            if await self._park():
                return True

    async def _drain(self, handle: Callable[[Any], Any], waits: bool) -> None:
        """All that is in the mailbox in one go, giving way to others after BATCH messages or SLICE seconds."""
        queue, actor, refusals = self.queue, self.actor, self.actor.refusals
        assert queue is not None
        count, began = 0, trio.current_time()
        while queue:
            message, reply = queue.popleft()
            if self.waiters:
                self.admit(queue)
            try:
                result = handle(message)
                if waits:
                    result = await result
            except refusals as error:
                if reply is not None:
                    deliver(reply, None, error)
            except BaseException as error:
                self._blame(message, reply, error)
                raise
            else:
                if isinstance(result, Later):
                    self._defer(result, reply)
                elif reply is not None:
                    deliver(reply, result, None)
            count += 1
            if not queue or (count & LOOK == 0 and (count >= BATCH or trio.current_time() - began > SLICE)):
                self.processed += count
                actor.settled()
                if queue:
                    await trio.lowlevel.checkpoint()
                    count, began = 0, trio.current_time()

    def _blame(self, message: object, reply: Reply | None, error: BaseException) -> None:
        """Tell whoever asked that nobody will answer; remember what was being handled, unless we were only cancelled."""
        cause = error if isinstance(error, Exception) else None
        if cause is not None:
            self.culprit = message
        if reply is not None:
            stopped = self.stopped_error(begun=True)
            stopped.__cause__ = cause
            deliver(reply, None, stopped)

    def _defer(self, later: Later, reply: Reply | None) -> None:
        if self.laters is None:
            self.laters = {}
        if later.attach(reply, self._forget):
            self.laters[later] = None

    def _forget(self, later: Later) -> None:
        if self.laters is not None:
            self.laters.pop(later, None)

    # Quiet: parked, then resting, then asleep.

    async def _park(self) -> bool:
        """Wait for a message. True: nothing came, and the rest has begun."""
        actor = self.actor
        self.last = trio.current_time()
        if actor.keeps_task or actor.idle <= actor.linger:
            self._watch_sleep()
        elif not self._rest_watched:
            self._rest_watched = True
            self.owner.sweeper.watch(self.last + actor.linger, self._check_rest)
        self.parked = trio.lowlevel.current_task()
        return bool(await trio.lowlevel.wait_task_rescheduled(self._unpark))

    def _unpark(self, _: object) -> trio.lowlevel.Abort:
        self.parked = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _resume(self, *, rest: bool = False) -> None:
        task, self.parked = self.parked, None
        assert task is not None
        trio.lowlevel.reschedule(task, outcome.Value(rest))

    def _check_rest(self, now: float) -> float:
        due = now + self.actor.linger
        if self.queue is not None and not self.closed:
            if self.parked is None:
                return due
            due = self.last + self.actor.linger
            if due > now:
                return due
            self._resume(rest=True)
            self._rest()
        self._rest_watched = False
        return inf

    def _rest(self) -> None:
        """From here on there is no task (the one that is ending touches nothing any more); the next message brings another."""
        self.queue = None
        self.scope = None
        if not self._sleep_watched:
            self._watch_sleep()

    def _watch_sleep(self) -> None:
        if not self._sleep_watched and self.actor.idle < inf:
            self._sleep_watched = True
            self.owner.sweeper.watch(self.last + self.actor.idle, self._check_sleep)

    def _check_sleep(self, now: float) -> float:
        if self.closed:
            return inf
        idle = self.actor.idle
        if self.queue is not None and self.parked is None:
            return now + idle
        if self.last + idle > now:
            return self.last + idle
        if self.laters or not self._may_sleep():
            return now + idle
        self.stop()
        return inf

    def _may_sleep(self) -> bool:
        try:
            return self.actor.may_sleep()
        except Exception:
            log.exception("%s: may_sleep raised; it stays awake", self.name)
            return False

    # The end.

    def _close(self) -> None:
        if not self.closed:
            self.closed = True
            self.owner.closed(self)

    def _end(self, exit: Exit) -> None:
        """Out of the books, and whoever waits hears, in one step."""
        self.exit = exit
        refused = exit.error if not self.opened and isinstance(exit.error, self.actor.refusals) else None
        if exit.error is not None and refused is None:
            self.owner.died(self, exit.error, self.culprit)
        self._close()
        self.culprit = None
        self.settle_waiting(refused)
        for later in list(self.laters or ()):
            later.fail(self.stopped_error(begun=True))

    def _end_without_task(self) -> None:
        """It rests: the only thing that could need a task is `stopped`."""
        self._end(Exit())
        if self.opened and self.actor.has_stop:
            self.owner.spawn(self, self._let_go)
        else:
            self._bury()

    async def _let_go(self) -> None:
        if self.opened and self.actor.has_stop:
            with trio.move_on_after(self.grace, shield=True) as scope:
                await self._stopped()
            if scope.cancelled_caught:
                log.warning("%s: stopped() was cut off after %g s", self.name, self.grace)
        self._bury()

    async def _stopped(self) -> None:
        try:
            await self.actor.stopped(self.exit or Exit())
        except Exception:
            log.exception("%s: stopped() raised", self.name)

    def _bury(self) -> None:
        """Nothing of it runs any more; a Ref that is kept does not keep the state."""
        self.gone = True
        self.actor = NOBODY
        for event in (self._open_event, self._gone_event):
            if event is not None:
                event.set()
        self.owner.ended(self)


async def _fall(error: BaseException) -> None:
    raise error


NOBODY: Actor[Any] = Actor()
