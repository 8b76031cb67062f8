"""The supervision tree: children start in order, stop in reverse, get new lives, and fail upward when that does not help.

A supervisor is a nursery that restarts. Its children's tasks are shielded from cancellation from outside, so that even then they
are stopped one by one, last started first, each within its grace.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context, copy_context
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

import trio

from supervisor.actor import Actor, Exit, Inbox
from supervisor.child import Child, Restart, Strategy
from supervisor.errors import ActorStopped, TooManyRestarts
from supervisor.life import Life, Work
from supervisor.ref import Ref
from supervisor.statistics import Node, SupervisorStatistics
from supervisor.sweeper import Sweeper

if TYPE_CHECKING:
    from supervisor.directory import Directory

__all__ = ["Supervisor", "open_supervisor"]

log = logging.getLogger("supervisor")


class Place:
    """A child's place in the order, which its lives share."""

    __slots__ = ("child", "leaving", "life", "restarts", "starting")

    def __init__(self, child: Child) -> None:
        self.child = child
        self.life: Life | None = None
        self.leaving = False  # somebody is stopping it; its end is no reason for a restart
        self.starting = False  # somebody waits for `started` and will hear what it raised
        self.restarts = 0

    @property
    def unheard(self) -> bool:
        """Whether an end of the present life is news."""
        return not self.leaving and not (self.starting and self.life is not None and not self.life.opened)

    async def stop(self) -> None:
        """Cancel its life, if there is one, and wait until `stopped` is done."""
        self.leaving = True
        if self.life is not None:
            self.life.cancel()
            await self.life.wait_gone()

    def node(self) -> Node:
        """For `Supervisor.tree`."""
        life = self.life
        if life is None or life.gone:
            return Node(self.child.name, "actor", "stopped", restarts=self.restarts)
        if isinstance(life.actor, Branch):
            return life.actor.supervisor.tree(restarts=self.restarts)
        return Node(self.child.name, type(life.actor).__name__, life.state, life.depth, life.processed, self.restarts)


class Supervisor:
    """Starts its children in order, stops them in reverse, and fails upward when restarts come too fast."""

    def __init__(
        self,
        children: Sequence[Child] = (),
        *,
        name: str = "supervisor",
        strategy: Strategy = Strategy.ONE,
        restarts: int = 3,
        within: float = 5.0,
    ) -> None:
        self.name = name
        self.sweeper = Sweeper()
        self._initial = tuple(children)
        self._strategy = strategy
        self._limit = restarts
        self._within = within
        self._places: dict[str, Place | Directory[Any]] = {}
        self._restarted: deque[float] = deque(maxlen=restarts + 1)
        self._fallen: deque[Place] = deque()  # each place is in it once at most
        self._fell = trio.Event()
        self._total = 0
        self._closing = False
        self._nursery: trio.Nursery | None = None
        self._context: Context | None = None

    # Children

    async def start(self, child: Child) -> Ref[Any]:
        """Return once `started` has run; raises what it raised."""
        place = self._seat(child)
        try:
            return await self._begin(place)
        except BaseException:
            with trio.CancelScope(shield=True):  # bounded by the child's grace
                await place.stop()
            self._drop(place)
            raise

    def start_nowait(self, child: Child) -> Ref[Any]:
        """As start, without waiting: `started` runs in the actor's own task, before its first message; if it fails, the child died."""
        return self._spawn_life(self._seat(child)).actor.ref

    async def stop(self, name: str) -> None:
        """Cancel one child and return when its `stopped` is done. A Directory's lives end; its next message wakes a new one."""
        place = self._places[name]
        if isinstance(place, Place):
            await place.stop()
            self._drop(place)
        else:
            await place.clear()

    def ref(self, name: str) -> Ref[Any]:
        """The child's present life; LookupError between two lives."""
        place = self._places[name]
        if not isinstance(place, Place) or place.life is None or place.life.closed:
            raise LookupError(f"{name} has no life at present")
        return place.life.actor.ref

    async def branch(
        self,
        name: str,
        children: Sequence[Child] = (),
        *,
        strategy: Strategy = Strategy.ONE,
        restarts: int = 3,
        within: float = 5.0,
        restart: Restart = Restart.ALWAYS,
        grace: float = 30.0,
    ) -> Supervisor:
        """A supervisor as a child. When it fails upward, that counts here as one death, and it starts anew with these children."""
        branch = Supervisor(children, name=name, strategy=strategy, restarts=restarts, within=within)
        await self.start(Child(name, lambda: Branch(branch), restart, grace))
        return branch

    def _seat(self, child: Child) -> Place:
        if self._nursery is None or self._closing:
            raise ActorStopped(self.name)
        if child.name in self._places:
            raise ValueError(f"{self.name} already has a child called {child.name}")
        place = self._places[child.name] = Place(child)
        return place

    def adopt(self, directory: Directory[Any], kind: str) -> None:
        """A Directory takes its place in the order of starting and stopping."""
        if kind in self._places:
            raise ValueError(f"{self.name} already has a child called {kind}")
        self._places[kind] = directory

    def _drop(self, place: Place | Directory[Any]) -> None:
        name = place.child.name if isinstance(place, Place) else place.kind
        if self._places.get(name) is place:
            del self._places[name]

    async def _begin(self, place: Place) -> Ref[Any]:
        place.starting = True
        try:
            life = self._spawn_life(place)
            ref = life.actor.ref
            await life.wait_open()
        finally:
            place.starting = False
        return ref

    def _spawn_life(self, place: Place) -> Life:
        place.life = life = Life(place.child.name, place.child.make(), self, place.child.grace)
        life.wake()
        return life

    # What a life calls (Owner)

    def name_of(self, key: str) -> str:
        """A child's name in logs."""
        return key

    def spawn(self, life: Life, work: Work) -> None:
        """A task, in the supervisor's own context: what is bound to a sender's task (a logger's fields) stays there."""
        if self._nursery is None or self._context is None:
            raise ActorStopped(life.name)
        nursery = self._nursery
        self._context.run(lambda: nursery.start_soon(work, name=life.name))

    @property
    def holds(self) -> bool:
        """A child has a task of its own, and nobody else gives it turns."""
        return True

    def enlist(self, life: Life) -> bool:
        """A child has a task of its own."""
        return False

    def closed(self, life: Life) -> None:
        """Nothing to do: a child keeps its place between two lives."""

    def died(self, life: Life, error: Exception, culprit: object) -> None:
        """Into the log, with where it came from."""
        place = self._places.get(life.key)
        if isinstance(place, Place) and place.unheard:
            log.error("%s: %s died", self.name, life.name, exc_info=error)

    def ended(self, life: Life) -> None:
        """A child's life is over: a new one, or its place is free."""
        place = self._places.get(life.key)
        if not isinstance(place, Place) or place.life is not life or not place.unheard:
            return
        if not life.crashed and self._deserves(place, life.exit or Exit()):
            self._fallen.append(place)
            self._fell.set()
        else:
            self._drop(place)

    @staticmethod
    def _deserves(place: Place, exit: Exit) -> bool:
        wish = place.child.restart
        return wish is Restart.ALWAYS or (wish is Restart.ON_ERROR and exit.error is not None)

    # Restarting

    async def _keep(self) -> None:
        """Give new lives, one fall at a time."""
        while True:
            await self._fell.wait()
            self._fell = trio.Event()
            while self._fallen:
                place = self._fallen.popleft()
                if not place.leaving and place.life is not None and place.life.gone:
                    await self._revive(place)

    async def _revive(self, place: Place) -> None:
        """New lives for the fallen one and those who go with it. A child that does not start has fallen again."""
        error: Exception | None = place.life.exit.error if place.life and place.life.exit else None
        group = self._group(place)
        while True:
            await self._count(place, error)
            await self._lay_down(group, place)
            try:
                await self._raise_up(group)
            except Exception as again:  # a child's life ended in `started`; counted, and bounded by the count
                log.error("%s: a new life for %s did not start", self.name, place.child.name, exc_info=again)
                error = again
            else:
                return

    async def _count(self, place: Place, error: Exception | None) -> None:
        now = trio.current_time()
        place.restarts += 1
        self._total += 1
        self._restarted.append(now)
        if len(self._restarted) > self._limit and now - self._restarted[0] <= self._within:
            await self._stop_all()
            raise TooManyRestarts(self.name, place.child.name, self._limit, self._within) from error

    def _group(self, place: Place) -> list[Place | Directory[Any]]:
        """In the order of starting."""
        if self._strategy is Strategy.ONE:
            return [place]
        everybody = list(self._places.values())
        return everybody if self._strategy is Strategy.ALL else everybody[everybody.index(place) :]

    async def _lay_down(self, group: list[Place | Directory[Any]], fallen: Place) -> None:
        for place in reversed(group):
            if isinstance(place, Place):
                await place.stop()
                if place is not fallen and place.child.restart is Restart.NEVER:
                    self._drop(place)
            else:
                place.hold()
                await place.clear()

    async def _raise_up(self, group: list[Place | Directory[Any]]) -> None:
        for place in group:
            if not isinstance(place, Place):
                place.release()
            elif self._places.get(place.child.name) is place:
                place.leaving = False
                await self._begin(place)

    @property
    def is_open(self) -> bool:
        """Whether children may be started."""
        return self._nursery is not None and not self._closing

    # Opening and closing

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """The children are there within; see `open_supervisor`."""
        async with trio.open_nursery() as outside:
            await outside.start(self._house)
            try:
                await self._start_initial()
                yield
            finally:
                try:
                    with trio.CancelScope(shield=True):  # each child is bounded by its grace
                        await self._stop_all()
                finally:
                    self._close_house()

    async def _start_initial(self) -> None:
        """The first time, and each time this branch starts anew; a Directory comes after the children it was made after."""
        directories = [place for place in self._places.values() if not isinstance(place, Place)]
        self._places.clear()
        for child in self._initial:
            await self.start(child)
        for directory in directories:
            self._places[directory.kind] = directory
            directory.release()

    async def _house(self, task_status: trio.TaskStatus[None]) -> None:
        """Where the children's tasks live; cancellation from outside stops at its door, and closing it is ordered from within."""
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.shield = True
            self._context, self._nursery, self._closing = copy_context(), nursery, False
            self._fallen.clear()
            self._restarted.clear()
            nursery.start_soon(self.sweeper.run)
            nursery.start_soon(self._keep)
            task_status.started()
        self._nursery = None

    def _close_house(self) -> None:
        nursery, self._nursery = self._nursery, None
        if nursery is not None:
            nursery.cancel_scope.cancel()

    async def _stop_all(self) -> None:
        """In reverse; a Directory keeps its place, for a branch that starts anew."""
        self._closing = True
        for place in reversed(list(self._places.values())):
            if isinstance(place, Place):
                await place.stop()
                self._drop(place)
            else:
                place.shut()
                await place.clear()

    # Looking

    def statistics(self) -> SupervisorStatistics:
        """Counts of children, and of restarts since it was made."""
        states = [place.life.state for place in self._places.values() if isinstance(place, Place) and place.life]
        resting = states.count("resting")
        return SupervisorStatistics(self.name, len(states) - states.count("stopped"), resting, self._total)

    def tree(self, *, restarts: int = 0) -> Node:
        """What lives below here, in the order of starting."""
        children = tuple(place.node() for place in self._places.values())
        state = "stopped" if self._nursery is None else "working"
        return Node(self.name, "supervisor", state, restarts=restarts, children=children)


class Branch(Actor[None]):
    """A supervisor in a child's place: opens when it starts, closes when it is stopped, dies of what fails upward."""

    __slots__ = ("_opened", "supervisor")

    patience: ClassVar[float] = inf  # each of its children has its own

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self._opened = AsyncExitStack()

    async def started(self) -> None:
        """Open here, so that whoever starts us finds the children; `run`, in the same task, closes."""
        await self._opened.enter_async_context(self.supervisor.open())

    async def run(self, inbox: Inbox[None]) -> None:
        """Until stopped."""
        async with self._opened:
            await inbox.serve(self.receive)


@asynccontextmanager
async def open_supervisor(
    children: Sequence[Child] = (),
    *,
    name: str = "supervisor",
    strategy: Strategy = Strategy.ONE,
    restarts: int = 3,
    within: float = 5.0,
) -> AsyncGenerator[Supervisor]:
    """A nursery that restarts. More than `restarts` in `within` seconds raises TooManyRestarts here (in an ExceptionGroup).

    On the way out, however one leaves, the children are stopped in reverse order, each within its grace.
    """
    supervisor = Supervisor(children, name=name, strategy=strategy, restarts=restarts, within=within)
    async with supervisor.open():
        yield supervisor
