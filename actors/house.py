"""What all rooms of a worker share, handed in once by `caas/wiring.py`."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import trio

from actors.across import Across
from actors.agreement import Agreement
from actors.alarms import Alarms
from actors.certainty import Certainty
from actors.deadlines import Deadlines
from actors.keys import Key
from actors.ruling import Ruling
from actors.storing import Storer
from actors.tails import Tails
from protocol.world import Clock, Rng
from services.acts import Rooms
from services.deciding import Parts
from services.kinds import Kinds, Touched
from storage.ports.counters import Counters
from storage.ports.documents import Documents
from storage.ports.log import Log

if TYPE_CHECKING:
    from actors.ephemeral.part import Parts as Ephemeral


_log = logging.getLogger("actors.errands")


class Sealer(Protocol):
    """What rooms need of the vault: keys are brought into memory first, then sealing and opening do not wait."""

    async def ensure(self, tenant: str, keys: Iterable[str]) -> None: ...

    def seal(self, tenant: str, author: str, aad: bytes, plain: bytes) -> tuple[str, bytes] | None: ...

    def open(self, tenant: str, key: str, aad: bytes, sealed: bytes) -> bytes | None: ...

    async def ensure_author(self, tenant: str, author: str) -> None: ...


class Spread(Protocol):
    """Where a room's pushes go: to the listeners of this worker and of its siblings."""

    def spread(self, worker: str, key: Key, seq: int, push: bytes, touched: Touched) -> None: ...

    def emit(self, worker: str, key: Key, push: bytes, but: str) -> None: ...

    def address(self, key: Key, push: bytes, users: Collection[str], *, watching: bool) -> None: ...

    def lags(self, worker: str, key: Key, head: int) -> None: ...

    def gone(self, worker: str, key: Key) -> None: ...


class Presences(Protocol):
    """What is needed of presence on this worker and its siblings, by the rooms that know who is there."""

    def say(self, worker: str, key: Key, views: Sequence[dict[str, Any]]) -> None:
        """Tell a worker how the user is, as the others see it and as the user does; nothing: that the room has ended."""
        ...

    def bar(self, worker: str, key: Key, viewer: str, barred: bool) -> None:
        """Tell a worker that the user blocks somebody (internal id), or no longer: to whom they are never there."""
        ...

    def ask_all(self, key: Key, done: Callable[[dict[str, bool] | None], None]) -> None:
        """Ask all workers whether they have devices of the user: which have, and whether these are idle; None: there is no saying."""
        ...

    @property
    def elsewhere(self) -> "Elsewhere": ...


class Elsewhere(Protocol):
    """What is needed of other nodes, by the rooms whose users somebody here watches (actors/elsewhere.py)."""

    def attend(self, key: Key, tell: Callable[[dict[str, bool] | None], None]) -> None: ...

    def leave(self, key: Key) -> None: ...


Work = Callable[[], Awaitable[Any]]
Done = Callable[[Any, Exception | None], None]


class Errands:
    """Short tasks that actors have run for them, each with a deadline; the outcome comes back as a call. Bounded."""

    def __init__(self, nursery: trio.Nursery, most: int = 20_000) -> None:
        self._nursery, self._left = nursery, most
        self._waiting: deque[tuple[Work, Done, float]] = deque()

    def run(self, work: Work, done: Done, within: float = 10.0) -> bool:
        """Run `work`; then `done(result, None)` or `done(None, error)`. False when too many are under way already."""
        if not self._left:
            return False
        self._left -= 1
        self._nursery.start_soon(self._run, work, done, within)
        return True

    def run_soon(self, work: Work, done: Done, within: float = 10.0) -> None:
        """As `run`, but where too many are under way it waits for its turn, before all that comes later.

        Only for what there is once for each thing that exists anyway (an audience, a connection's catch-up): that is its bound.
        """
        if self._waiting or not self.run(work, done, within):
            self._waiting.append((work, done, within))

    async def _run(self, work: Work, done: Done, within: float) -> None:
        result, error = None, None
        try:
            with trio.CancelScope(deadline=trio.current_time() + within) as scope:
                result = await work()
            if scope.cancelled_caught:
                raise trio.TooSlowError
        except Exception as raised:  # noqa: BLE001 - here an errand's life ends; whoever sent it is told
            error = raised
        finally:
            self._left += 1
            while self._waiting and self.run(*self._waiting[0]):
                self._waiting.popleft()
        try:
            done(result, error)
        except Exception:  # noqa: BLE001 - an outcome that kills whoever takes it must not take the worker along
            _log.exception("whoever sent an errand failed to take its outcome")


class House:
    """The parts of a worker that rooms stand on."""

    def __init__(self, *, worker: str, log: Log, documents: Documents, counters: Counters, kinds: Kinds, parts: Parts,
                 vault: Sealer, clock: Clock, rng: Rng, errands: Errands, boot: int, tails: Tails, storer: Storer,
                 deadlines: Deadlines, alarms: Alarms, spread: Spread, rooms: Rooms, ephemeral: "Ephemeral",
                 presences: Presences, across: Across, agreement: Agreement, ruling: Ruling, certainty: Certainty) -> None:
        self.worker, self.boot, self.across, self.agreement, self.ruling, self.certainty = worker, boot, across, agreement, ruling, certainty
        self.log, self.documents, self.counters = log, documents, counters
        self.kinds, self.parts, self.vault = kinds, parts, vault
        self.clock, self.rng, self.errands = clock, rng, errands
        self.tails, self.storer, self.deadlines, self.alarms, self.spread = tails, storer, deadlines, alarms, spread
        self.rooms, self.ephemeral, self.presences = rooms, ephemeral, presences
        self._appends = self._flights = 0

    def next_append(self) -> tuple[str, int, int]:
        """The name of one append: worker, boot, counter. Never used twice: no two nodes have a worker of one name."""
        self._appends += 1
        return (self.worker, self.boot, self._appends)

    def next_flight(self) -> int:
        """The number of one record, of any room of this worker."""
        self._flights += 1
        return self._flights
