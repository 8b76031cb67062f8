"""Handing partitions over: who gains some begins with them when every worker of the node goes by the same ring.

Each worker sees by itself who is alive, some sooner than others. Until all have seen it, two may look after the same conversation: the
earlier one still acknowledges what the later one has not read. So the later one waits until the others have let go, and reads the log to
the end that it has then. Whoever is asked looks at once who is alive, so this takes a round trip and not their next look.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import trio

from protocol.errors import Refused

_WITHIN_S = 5.0
"""A worker that does not answer is killed by its neighbour before that; if it is not, we go on without it."""
_AGAIN_S = 0.02
_Answer = Callable[[object, Exception | None], None]


class Asked(Protocol):
    """What is needed of the links between workers."""

    async def ask(self, worker: str, message: Any, timeout: float) -> Any:
        """See transport.link.Links."""


class RingChangedMeanwhile(Exception):
    """Others are alive now than those who were to agree: begin anew."""


class Handover:
    """One worker's side. `look` has it see now who is alive; it is set when there is somebody to look."""

    def __init__(self, me: str, links: Asked) -> None:
        self._me, self._links = me, links
        self.look: Callable[[], None] = lambda: None
        self._taken: tuple[str, ...] = ()
        self._asking: dict[str, tuple[tuple[str, ...], _Answer]] = {}  # by worker, its latest question

    def asked(self, worker: str, members: Sequence[Any], answer: _Answer) -> None:
        """A sibling asks to be told when we go by a ring of these."""
        if tuple(members) == self._taken:
            answer(True, None)
        else:
            self._asking[worker] = (tuple(members), answer)
            self.look()

    async def agreed(self, members: tuple[str, ...], changed: trio.Event) -> None:
        """We have let go of what is not ours in a ring of these: return when all of them have. Raises RingChangedMeanwhile."""
        self._taken = members
        for worker, (wanted, answer) in list(self._asking.items()):
            if wanted == members:
                del self._asking[worker]
                answer(True, None)
        with trio.move_on_after(_WITHIN_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._give_up_when, changed, nursery.cancel_scope)
                async with trio.open_nursery() as asking:
                    for worker in members:
                        if worker != self._me:
                            asking.start_soon(self._ask, worker, members)
                nursery.cancel_scope.cancel()
        if changed.is_set():
            raise RingChangedMeanwhile

    async def _ask(self, worker: str, members: tuple[str, ...]) -> None:
        while True:
            try:
                await self._links.ask(worker, ["ring", *members], _WITHIN_S)
            except Refused:  # there is no link yet, or it broke
                await trio.sleep(_AGAIN_S)
            else:
                return

    async def _give_up_when(self, changed: trio.Event, asking: trio.CancelScope) -> None:
        await changed.wait()
        asking.cancel()
