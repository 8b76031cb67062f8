"""Virtual actors: address one by key and it is there; leave it alone and it is gone."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import trio

from supervisor.actor import Actor
from supervisor.crew import Crew
from supervisor.errors import ActorStopped, Quarantined
from supervisor.life import Life, Work
from supervisor.quarantine import Quarantine
from supervisor.ref import Ref
from supervisor.reply import Reply
from supervisor.statistics import DirectoryStatistics, Node
from supervisor.tree import Supervisor

__all__ = ["Directory", "no_fingerprint"]

M = TypeVar("M")

log = logging.getLogger("supervisor")

SHOWN = 8
"""The deepest mailboxes that `tree` shows."""
LABEL = 100
"""Characters of a fingerprint in the log."""


def no_fingerprint(message: object) -> Hashable | None:
    """The default: messages have no identity of their own (two that are equal may still be two events)."""
    return None


def _label(culprit: object, mark: Hashable | None) -> str:
    """For the log: an id is shown, a whole message is not, for it may hold what people wrote."""
    if culprit is None:
        return "something that is no message"
    return repr(mark)[:LABEL] if isinstance(mark, str | int | bytes) else f"a {type(culprit).__name__}"


class Directory(Generic[M]):
    """At most one live actor for each key in this process, woken by the first message and put to sleep when idle.

    The life of a key enters the books as its mailbox opens and leaves them as it closes, in one step; a new life waits until the
    `stopped` of the one before is done. Looking up and putting is one step too: a message never falls between two lives.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        kind: str,
        make: Callable[[str], Actor[M]],
        *,
        grace: float = 5.0,
        fingerprint: Callable[[M], Hashable | None] = no_fingerprint,
        quarantine: Quarantine | None = None,
    ) -> None:
        """`make(key)` returns a fresh actor. `fingerprint` gives a message's id (an op, say), by which poison is known when it comes
        again; None for messages that have none: of those, only the deaths of their key are counted."""
        self.kind = kind
        self.sweeper = supervisor.sweeper
        self._supervisor = supervisor
        self._make = make
        self._grace = grace
        self._fingerprint = fingerprint
        self._quarantine = quarantine or Quarantine()
        self._lives: dict[str, Life] = {}
        self._ending: dict[str, Life] = {}
        self._held: list[tuple[Life, Work]] | None = None if supervisor.is_open else []
        self._crew = Crew(self.spawn)
        self._shut = False
        self._woken = self._slept = self._died = self._refused = self._processed = 0
        supervisor.adopt(self, kind)

    # Talking

    async def ask(self, key: str, message: M, *, timeout: float = 5.0) -> Any:
        """Wake it if it sleeps, then ask; a message never falls into the gap between two lives.

        Raises a refusal, AskTimeout, Quarantined, or ActorStopped when it died or the directory closes. Tries nothing twice.
        """
        return await self._life(key, message).ask(message, timeout)

    async def send(self, key: str, message: M) -> None:
        """Wake it if it sleeps; waits while its mailbox is full."""
        await self._life(key, message).send(message)

    def send_nowait(self, key: str, message: M) -> None:
        """Wake it if it sleeps. Raises MailboxFull, Quarantined or ActorStopped; never waits."""
        self._life(key, message).put(message, None)

    def send_first(self, key: str, message: M) -> None:
        """As send_nowait; but an actor that has nothing else to do, and never waits, has its turn in this very call. For whoever gives way by
        itself when it has told many."""
        self._life(key, message).put_first(message, None)

    def post(self, key: str, message: M, reply: Reply) -> None:
        """As send_nowait; `reply(result, error)` is called once, without a task."""
        self._life(key, message).put(message, reply)

    def post_first(self, key: str, message: M, reply: Reply) -> None:
        """As post; but an actor that has nothing else to do, and never waits, has its turn in this very call, and `reply` is called before it
        returns unless the answer comes later. For questions whose asker would wait for the turn anyway."""
        self._life(key, message).put_first(message, reply)

    def find(self, key: str) -> Ref[M] | None:
        """Its present life, if it is awake; wakes nobody. A Ref may go stale at the next checkpoint."""
        life = self._lives.get(key)
        return life.actor.ref if life is not None else None

    def keys(self) -> list[str]:
        """Of those awake, in the order of waking."""
        return list(self._lives)

    def __len__(self) -> int:
        return len(self._lives)

    async def stop(self, key: str) -> None:
        """Cancel its present life, if it has one, and return when `stopped` is done; the next message wakes a new one."""
        life = self._lives.get(key)
        if life is not None:
            life.cancel()
        while key in self._ending:
            await self._ending[key].wait_gone()

    # The books

    def _life(self, key: str, message: M) -> Life:
        if self._quarantine:
            self._check(key, message)
        life = self._lives.get(key)
        return life if life is not None else self._awaken(key)

    def _awaken(self, key: str) -> Life:
        if self._shut:
            raise ActorStopped(self.kind)
        life = self._lives[key] = Life(key, self._make(key), self, self._grace, self._ending.get(key))
        self._woken += 1
        return life

    def _check(self, key: str, message: M) -> None:
        now = trio.current_time()
        seconds = self._quarantine.refusal(key, now)
        if seconds is None:
            return
        seconds = seconds or self._quarantine.refusal_of(key, self._mark(message), now)
        if seconds > 0:
            self._refused += 1
            raise Quarantined(self.name_of(key), seconds)

    def _mark(self, message: Any) -> Hashable | None:
        """Its fingerprint. One that cannot be taken must not stand in the way of an ending life."""
        try:
            mark = self._fingerprint(message)
            hash(mark)
        except Exception:  # a message that kills is likely to be one that surprises
            log.exception("%s: no fingerprint of a %s", self.kind, type(message).__name__)
            return None
        return mark

    # What a life calls (Owner)

    def name_of(self, key: str) -> str:
        """For people and logs: room/c_1."""
        return f"{self.kind}/{key}"

    @property
    def holds(self) -> bool:
        """Whether what we stand on is being restarted."""
        return self._held is not None

    def spawn(self, life: Life, work: Work) -> None:
        """In the supervisor's nursery, or when the supervisor has finished restarting what we stand on."""
        if self._held is None:
            self._supervisor.spawn(life, work)
        else:
            self._held.append((life, work))

    def enlist(self, life: Life) -> bool:
        """It gets its turn with the others that have something to do."""
        self._crew.enlist(life)
        return True

    def closed(self, life: Life) -> None:
        """Out of the books in the same step as its mailbox closes; until it has let go, the next life waits for it."""
        if self._lives.get(life.key) is life:
            del self._lives[life.key]
        self._ending[life.key] = life

    def died(self, life: Life, error: Exception, culprit: object) -> None:
        """Remember what killed it, before the next message can come."""
        self._died += 1
        mark = None if culprit is None else self._mark(culprit)
        seconds = self._quarantine.died(life.key, mark, trio.current_time())
        next_step = (
            f"the key is refused for {seconds:g} s" if seconds else "that message is refused for a while" if mark is not None else "it may wake again"
        )
        log.error("%s died of %s; %s", life.name, _label(culprit, mark), next_step, exc_info=error)

    def ended(self, life: Life) -> None:
        """Nothing of it runs any more."""
        self._processed += life.processed
        if life.exit is not None and life.exit.error is None:
            self._slept += 1
        if self._ending.get(life.key) is life:
            if life.after is not None and not life.after.gone:
                self._ending[life.key] = life.after
            else:
                del self._ending[life.key]
        life.after = None

    # What the supervisor calls

    def hold(self) -> None:
        """From now on new lives wait for `release`; messages gather in their mailboxes."""
        if self._held is None:
            self._held = []

    def shut(self) -> None:
        """From now on there are no new lives."""
        self._shut = True
        self._let_through()

    def release(self) -> None:
        """What we stand on is there (again)."""
        self._shut = False
        self._let_through()

    def _let_through(self) -> None:
        held, self._held = self._held, None
        for life, work in held or ():
            self._supervisor.spawn(life, work)

    async def clear(self) -> None:
        """End all who live now, all together; returns when each has let go."""
        lives = list(self._lives.values())
        for life in lives:
            life.cancel()
        for life in lives + list(self._ending.values()):
            await life.wait_gone()

    # Looking

    def statistics(self) -> DirectoryStatistics:
        """Walks all who are awake: for people, not for the hot path."""
        lives = list(self._lives.values())
        return DirectoryStatistics(
            kind=self.kind,
            alive=len(lives),
            resting=sum(life.queue is None for life in lives),
            ending=len(self._ending),
            depth=sum(life.depth for life in lives),
            processed=self._processed + sum(life.processed for life in lives),
            woken=self._woken,
            slept=self._slept,
            died=self._died,
            refused=self._refused,
            quarantined=self._quarantine.count(trio.current_time()),
        )

    def node(self) -> Node:
        """For `Supervisor.tree`: one line, and the deepest mailboxes below it."""
        now = self.statistics()
        deepest = heapq.nlargest(SHOWN, (life for life in self._lives.values() if life.depth), key=lambda life: life.depth)
        below = tuple(Node(life.name, type(life.actor).__name__, life.state, life.depth, life.processed) for life in deepest)
        detail = f"{now.alive} awake, {now.resting} resting, {now.slept} slept, {now.died} died, {now.quarantined} in quarantine"
        state = "stopped" if self._shut else "held" if self._held is not None else "working"
        return Node(self.kind, "directory", state, now.depth, now.processed, now.died, below, detail)
