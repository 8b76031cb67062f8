"""Ref: the only way to talk to an actor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from supervisor.reply import Reply

if TYPE_CHECKING:
    from supervisor.actor import Exit
    from supervisor.life import Life

__all__ = ["Ref", "RefStatistics"]

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class RefStatistics:
    """What can be seen of one actor: `state` is new, starting, working, waiting, resting, stopping or stopped."""

    name: str
    state: str
    depth: int
    limit: int
    processed: int
    unanswered: int


class Ref(Generic[M]):
    """The only handle on an actor: safe to keep, compare and pass on; outlives the actor it names."""

    __slots__ = ("_life",)

    def __init__(self, life: Life) -> None:
        self._life = life

    @property
    def name(self) -> str:
        """Of the actor, unique among the living of its supervisor."""
        return self._life.name

    def send_nowait(self, message: M) -> None:
        """Put it in the mailbox now. Raises MailboxFull or ActorStopped; never waits (OTP cast)."""
        self._life.put(message, None)

    def send_first(self, message: M) -> None:
        """As send_nowait; but an actor that has nothing else to do, and never waits, has its turn in this very call."""
        self._life.put_first(message, None)

    def post(self, message: M, reply: Reply) -> None:
        """As send_nowait; `reply(result, error)` is called once, without a task: with what `receive` returns, a refusal or ActorStopped.

        No deadline: whoever posts and gives up must ignore the answer.
        """
        self._life.put(message, reply)

    async def send(self, message: M) -> None:
        """As send_nowait, but waits while the mailbox is full: back-pressure."""
        await self._life.send(message)

    async def ask(self, message: M, *, timeout: float = 5.0) -> Any:
        """Send and await what `receive` returns. Raises a refusal, AskTimeout or ActorStopped (OTP call).

        The deadline covers the wait for room in a full mailbox; what found no room in time was not sent.
        """
        return await self._life.ask(message, timeout)

    def stop(self) -> None:
        """Close the mailbox; what is already in it is handled first."""
        self._life.stop()

    async def wait_stopped(self) -> Exit:
        """Watch it without sharing its fate (OTP monitor); returns when its `stopped` has run too."""
        return await self._life.wait_gone()

    def statistics(self) -> RefStatistics:
        """A frozen look at it."""
        life = self._life
        return RefStatistics(life.name, life.state, life.depth, life.limit, life.processed, len(life.laters or ()))

    def __repr__(self) -> str:
        return f"<Ref {self._life.name}: {self._life.state}>"
