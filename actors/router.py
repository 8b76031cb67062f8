"""From a conversation to its room: here, or on the worker that the ring names."""

import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, cast

import trio

from actors.carrying import carried, carried_answer, carry, carry_answer
from actors.house import Errands
from actors.keys import Key, partition_of
from actors.messages import Ask, Gone, Heard, Listen, Message, Rows, Signal, Submit, Unlisten
from actors.waking import moved
from protocol.errors import Refused
from protocol.limits import VERDICT_WITHIN_S
from services.acts import Act, Verdict, View
from services.scope import Scope
from storage.ports.log import Row
from supervisor import ActorStopped, AskTimeout, Directory, MailboxFull, Quarantined

_log = logging.getLogger("actors.router")

AGAIN_S, SLOWER_S = 0.1, 5.0
"""Between two attempts: at first, and at most."""
VIEW_WITHIN_S, SAY_WITHIN_S = 5.0, 60.0
"""How long it is tried: while somebody waits for it, and what would be lost otherwise."""
Settle = Callable[[Any, Exception | None], None]


class Links(Protocol):
    """What is needed of the links to the other workers of the node."""

    def post(self, worker: str, message: object, reply: Settle, timeout: float = 10.0) -> None: ...

    def tell(self, worker: str, message: object) -> bool: ...


class Ring(Protocol):
    """Which worker owns which partition."""

    @property
    def members(self) -> tuple[str, ...]: ...

    def owner(self, partition: int) -> str: ...


class Router:
    """Knows the ring. Implements `services.acts.Rooms`."""

    def __init__(self, me: str, rooms: Directory[Message], links: Links, errands: Errands, partitions: int) -> None:
        self._me, self._rooms, self._links, self._errands, self._partitions = me, rooms, links, errands, partitions
        self._owners: list[str] = [me] * partitions

    def take_ring(self, ring: Ring) -> set[int]:
        """Route by this ring from now on; the partitions whose owner changed."""
        before, self._owners = self._owners, [ring.owner(partition) for partition in range(self._partitions)]
        return {partition for partition in range(self._partitions) if before[partition] != self._owners[partition]}

    def owned(self) -> set[int]:
        """The partitions that the ring gives this worker."""
        return {partition for partition, owner in enumerate(self._owners) if owner == self._me}

    def owner(self, key: Key) -> str:
        """The worker that looks after a conversation."""
        return self._owners[partition_of(key, self._partitions)]

    def post(self, key: Key, message: Message, reply: Settle) -> None:
        """Hand a message to the room, wherever it is, in the order of calls. `reply` is called once; errors are Refused."""
        owner = self.owner(key)
        if owner == self._me:
            self.post_here(key, message, reply)
        else:
            self._links.post(owner, carry(key, message), lambda answer, error: reply(None if error else carried_answer(answer), error),
                             VERDICT_WITHIN_S + 1)

    def post_here(self, key: Key, message: Message, reply: Settle) -> None:
        """Hand it to the room on this worker."""
        try:
            self._rooms.post(name_of(key), message, lambda answer, error: reply(answer, error and refused(error)))
        except (ActorStopped, MailboxFull, Quarantined) as error:
            reply(None, refused(error))

    def ask(self, key: Key, message: Message, reply: Settle) -> None:
        """As post, for what has no effect but its answer: a room that is here, is awake and has nothing else to do answers before this returns."""
        if self.owner(key) != self._me:
            self.post(key, message, reply)
            return
        try:
            self._rooms.post_first(name_of(key), message, lambda answer, error: reply(answer, error and refused(error)))
        except (ActorStopped, MailboxFull, Quarantined) as error:
            reply(None, refused(error))

    def serve(self, parts: list[Any], reply: Settle) -> None:
        """A sibling worker asks for one of our rooms."""
        key, message = carried(parts)
        self.post_here(key, message, lambda answer, error: reply(None if error else carry_answer(answer), error))

    def heard(self, key: Key, signal: Signal) -> None:
        """The same conversation's room on another node was told this: ours is too, if it is on this worker, and awake."""
        room = self._rooms.find(name_of(key)) if self.owner(key) == self._me else None
        if room is not None:
            with contextlib.suppress(ActorStopped, MailboxFull):
                room.send_nowait(Heard(signal))

    def deliver(self, key: Key, rows: list[Row], *, wake: bool = True) -> None:
        """What the log gave back for a conversation. Without `wake`, only if its room is awake: whoever wakes later finds it in the tail."""
        try:
            if wake:
                self._rooms.send_first(name_of(key), Rows(rows))
            elif (room := self._rooms.find(name_of(key))) is not None:
                room.send_nowait(Rows(rows))
        except (ActorStopped, MailboxFull, Quarantined) as error:
            _log.warning("%s does not take its rows, storing folds them by itself: %r", key, error)

    async def submit(self, scope: Scope, act: Act) -> Verdict:
        """Have an act decided. Raises Refused."""
        key = Key(scope.tenant, act.conversation)
        return cast(Verdict, await answered(lambda reply: self.post(key, Submit(act), reply)))

    async def submit_all(self, acts: Sequence[tuple[Scope, Act]]) -> None:
        """Have several acts decided at once, each in its own conversation. Raises the first Refused that may be tried again."""
        if not acts:
            return
        waiting = len(acts)
        done, failed = trio.Event(), list[Refused]()

        def settle(answer: Any, error: Exception | None) -> None:
            nonlocal waiting
            waiting -= 1
            if isinstance(error, Refused) and error.retryable:
                failed.append(error)
            if not waiting:
                done.set()

        for scope, act in acts:
            self.post(Key(scope.tenant, act.conversation), Submit(act), settle)
        with trio.move_on_after(VERDICT_WITHIN_S + 2):
            await done.wait()
        if failed or waiting:
            raise failed[0] if failed else Refused("timeout")

    def say(self, scope: Scope, act: Act) -> None:
        """Have an act decided, whatever comes of it. A room that is just moving, or whose disk is full, is told again for a while."""
        post = partial(self.post, Key(scope.tenant, act.conversation), Submit(act))

        def settle(answer: Any, error: Exception | None) -> None:
            if isinstance(error, Refused) and error.retryable:
                self._errands.run(partial(self._patiently, post, SAY_WITHIN_S), lambda answer, error: None, SAY_WITHIN_S * 2)

        post(settle)

    async def view(self, scope: Scope, conversation: str, ask: View) -> dict[str, Any]:
        """Ask the room. Asking again does no harm, so a room that is just moving is asked again for a while."""
        key = Key(scope.tenant, conversation)
        return cast(dict[str, Any], await self._patiently(lambda reply: self.ask(key, Ask(scope, ask), reply)))

    def view_now(self, scope: Scope, conversation: str, ask: View) -> dict[str, Any] | None:
        """The same, if the answer is at hand."""
        key = Key(scope.tenant, conversation)
        return cast(dict[str, Any] | None, _at_hand(lambda reply: self.ask(key, Ask(scope, ask), reply)))

    async def signal(self, scope: Scope, conversation: str, what: str, p: dict[str, Any], *, again: bool = False) -> Any:
        """Hand something ephemeral to the room, and have its part's answer."""
        key = Key(scope.tenant, conversation)
        return await (self._patiently if again else answered)(lambda reply: self.ask(key, Signal(scope, what, p), reply))

    def signal_now(self, scope: Scope, conversation: str, what: str, p: dict[str, Any]) -> Any:
        """The same, if the answer is at hand."""
        key = Key(scope.tenant, conversation)
        return _at_hand(lambda reply: self.ask(key, Signal(scope, what, p), reply))

    def hint(self, scope: Scope, conversation: str, what: str, p: dict[str, Any]) -> None:
        """The same, whatever comes of it."""
        self.post(Key(scope.tenant, conversation), Signal(scope, what, p), lambda answer, error: None)

    async def listen(self, key: Key) -> int:
        """Have the room's pushes sent to this worker from now on; the seq after which they follow."""
        return cast(int, await self._patiently(lambda reply: self.ask(key, Listen(self._me), reply)))

    def listen_now(self, key: Key) -> int | None:
        """The same, if the room is here and answers at once."""
        return cast(int | None, _at_hand(lambda reply: self.ask(key, Listen(self._me), reply)))

    def unlisten(self, key: Key) -> None:
        """No more of them."""
        self.post(key, Unlisten(self._me), lambda answer, error: None)

    async def unlisten_all(self) -> None:
        """Nobody is connected to this worker any more: the rooms here are told, and append what they held for somebody."""
        names = list(self._rooms.keys())
        waiting, done = len(names), trio.Event()

        def settle(answer: Any, error: Exception | None) -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                done.set()

        for name in names:
            self.post_here(key_of(name), Unlisten(self._me), settle)
        with trio.move_on_after(VIEW_WITHIN_S):
            if names:
                await done.wait()

    def forget(self, worker: str) -> None:
        """A worker has left the node: no room here tells it anything any more."""
        for name in list(self._rooms.keys()):
            self.post_here(key_of(name), Gone(worker), lambda answer, error: None)

    async def _patiently(self, post: Callable[[Settle], None], within_s: float = VIEW_WITHIN_S) -> Any:
        since, pause_s = trio.current_time(), AGAIN_S
        while True:
            try:
                return await answered(post)
            except Refused as refused:
                if not refused.retryable or trio.current_time() > since + within_s or refused.field:
                    raise
            await trio.sleep(pause_s)
            pause_s = max(AGAIN_S, min((trio.current_time() - since) / 4, SLOWER_S))


def name_of(key: Key) -> str:
    """The room's name in the directory."""
    return f"{key.tenant}/{key.conversation}"


def key_of(name: str) -> Key:
    """And back."""
    tenant, _, conversation = name.partition("/")
    return Key(tenant, conversation)


def refused(error: Exception) -> Exception:
    """What went wrong with an actor, as a client is told."""
    match error:
        case Refused():
            return error
        case ActorStopped(begun=False):
            return moved()
        case Quarantined():
            return Refused("unavailable", "This conversation is being looked at: try again later.", retry_after_ms=int(error.retry_after * 1000))
        case MailboxFull():
            return Refused("too_many", "Too much waits in this conversation: slow down.")
        case ActorStopped() | AskTimeout():
            return Refused("timeout")
        case _:
            _log.error("a room failed", exc_info=error)
            return Refused("internal")


def _at_hand(post: Callable[[Settle], None]) -> Any:
    """The one call of a reply, if it comes at once; else None, and also when whoever was asked wants to be asked again. Raises Refused."""
    held: list[tuple[Any, Exception | None]] = []
    post(lambda answer, error: held.append((answer, error)))
    if not held:
        return None
    answer, error = held[0]
    if isinstance(error, Refused) and error.retryable:
        return None
    if error is not None:
        raise error
    return answer


async def answered(post: Callable[[Settle], None]) -> Any:
    """Wait for the one call of a reply, if it does not come at once. Raises what it brings, or `timeout`."""
    done: trio.Event | None = None
    held: list[tuple[Any, Exception | None]] = []

    def settle(answer: Any, error: Exception | None) -> None:
        held.append((answer, error))
        if done is not None:
            done.set()

    post(settle)
    if not held:
        done = trio.Event()
        with trio.move_on_after(VERDICT_WITHIN_S + 2):
            await done.wait()
    if not held:
        raise Refused("timeout")
    answer, error = held[0]
    if error is not None:
        raise error
    return answer
