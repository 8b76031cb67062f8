"""A room's desk: what waits to be appended, and the one record that is on its way. No waiting, no I/O."""

from collections import deque
from typing import Any

from actors.lazily import NOTHING
from protocol.errors import Refused
from services.acts import Act, Verdict
from services.checking import conflict, refusal
from services.deciding import Outcome
from storage.ports.entry import Entry
from storage.ports.errors import OutcomeUnknown, StorageError, StorageFull, TooMuch
from supervisor import Later

MOST_COMMANDS, MOST_BYTES = 256, 256 * 1024
MOST_WAITING = 4_096
TRIES = 3
NOT_NOW = Refused("unavailable", "The log is not answering right now: send it again in a moment.")
TIMEOUT = Refused("timeout", "The log has not answered in time: send it again with the same id.")
FULL = Refused("storage_full", "The disk is full: nothing was stored; send it again when there is room.")
TOO_MANY = Refused("too_many", "Too much waits in this conversation: slow down.", limit=("waiting", MOST_WAITING, MOST_WAITING))
CROWDED = Refused("too_many", "More of this application waits to be stored than is fair to the others: slow down.")
_SAID: dict[type[StorageError], Refused] = {OutcomeUnknown: TIMEOUT, StorageFull: FULL, TooMuch: CROWDED}


def said_of(error: StorageError) -> Refused:
    """What somebody is told whose append the log has failed."""
    return next((said for kind, said in _SAID.items() if isinstance(error, kind)), NOT_NOW)


class Waiting(Later):
    """A command at the desk, until it is answered with its Verdict, or fails with why not: only the first answer counts. `sure`: whether
    it may be denied by what is known here."""

    __slots__ = ("act", "checked", "since", "sure", "tries")

    def __init__(self, act: Act, since: float, *, sure: bool = True) -> None:
        super().__init__()
        self.act, self.since, self.sure = act, since, sure
        self.tries = 0
        self.checked: int | None = None  # the seq at which storage was asked about its id, if it was

    def asked(self, seq: int) -> None:
        """Storage is asked about it, at this seq: what was asked for others before is no answer to this one."""
        if self.checked is None:
            self.checked = seq


class Riding:
    """A command in the record on its way: the entry it became, and the verdict once that is read back."""

    __slots__ = ("entry", "outcome", "plain", "waiting")

    def __init__(self, waiting: Waiting, entry: Entry, plain: dict[str, Any]) -> None:
        self.waiting, self.entry, self.plain = waiting, entry, plain
        self.outcome: Outcome | None = None

    def answer(self) -> bool:
        """Answer by the verdict of its own append; False when it is stale, and to be checked and appended again."""
        outcome, waiting = self.outcome, self.waiting
        assert outcome is not None
        if outcome.what in ("ok", "duplicate"):
            waiting.answer(Verdict(outcome.seq, outcome.n, outcome.at, duplicate=outcome.what == "duplicate"))
        elif outcome.what == "stale":
            if waiting.settled:  # it has been told `timeout`: it comes again by itself, or not at all
                return True
            waiting.tries += 1
            waiting.checked = None
            if waiting.tries < TRIES:
                return False
            waiting.fail(NOT_NOW)
        else:
            waiting.fail(conflict(self.entry.kind) if outcome.what == "conflict" else refusal(outcome.code, self.entry.kind))
        return True


class Flight:
    """One record on its way: appended once, answered when the log has acknowledged it *and* given it back."""

    __slots__ = ("acknowledged", "number", "overdue", "riding", "undecided")

    def __init__(self, number: int, riding: dict[bytes, Riding]) -> None:
        self.number, self.riding = number, riding  # by the bytes that were appended: no two are alike
        self.undecided = len(riding)  # commands that have no verdict yet
        self.acknowledged = self.overdue = False

    @property
    def oldest(self) -> float:
        """When the first of it came: they stand in the order in which they came."""
        return next(iter(self.riding.values())).waiting.since

    def came(self) -> list[float]:
        """When those came that have no answer yet."""
        return [riding.waiting.since for riding in self.riding.values() if not riding.waiting.settled]

    def decided(self, riding: Riding, outcome: Outcome) -> None:
        """A command of it has been read back."""
        riding.outcome = outcome
        self.undecided -= 1

    @property
    def complete(self) -> bool:
        """Whether every command of it has its verdict, and the log its own."""
        return self.acknowledged and not self.undecided


class Desk:
    """What waits (`queue`), what comes back stale (first in the queue), and what is on its way (`flight`)."""

    __slots__ = ("flight", "queue")

    def __init__(self) -> None:
        self.queue: deque[Waiting] = NOTHING
        self.flight: Flight | None = None

    @property
    def busy(self) -> bool:
        """Whether anybody waits here."""
        return bool(self.queue) or self.flight is not None

    def refuse_all(self, queued: Refused, flying: Refused) -> None:
        """Answer everybody: those on their way may yet land."""
        flight, self.flight = self.flight, None
        for riding in flight.riding.values() if flight else ():
            riding.waiting.fail(flying)
        while self.queue:
            self.queue.popleft().fail(queued)
