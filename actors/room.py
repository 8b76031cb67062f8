"""A room: one conversation's life on a worker. Check, append, read back, apply, spread.

It never waits: whatever needs time (storage, keys, the log) is an errand whose outcome comes back as a message, and until the room is
awake its messages are held, in order. So its state is touched by one plain call at a time.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, ClassVar, cast

import trio

from actors.alarms import Alarm
from actors.bodies import MISSING, open_body
from actors.desk import CROWDED, MOST_COMMANDS, MOST_WAITING, NOT_NOW, TIMEOUT, TOO_MANY, Desk, Flight, Waiting, said_of
from actors.ephemeral.blocks import Blocks
from actors.ephemeral.inhabitants import Inhabitants
from actors.house import House
from actors.keys import Key
from actors.lazily import NOTHING, begun
from actors.messages import (
    Appended,
    Ask,
    Gone,
    Heard,
    KeysReady,
    Late,
    Listen,
    Looked,
    Message,
    Overdue,
    Patience,
    Rows,
    Rung,
    Signal,
    Submit,
    Unlisten,
    Woken,
)
from actors.questions import Questions
from actors.record import build
from actors.refusing import settle
from actors.viewing import Recent, without
from actors.waking import AGAIN_S, Read, catch_up, moved, reaches, read_stored
from protocol.codec import pack
from protocol.errors import Refused
from protocol.limits import VERDICT_WITHIN_S
from services.acts import Act, Verdict
from services.checking import conflict, old_ops
from services.deciding import Fold, Outcome
from services.heads import removed_by
from services.history import render_push
from services.scope import Scope
from storage.ports.entry import Entry, decode_entry, without_body
from storage.ports.errors import StorageError
from storage.ports.log import Record, Row
from supervisor import Actor, ActorStopped, Exit, Later, MailboxFull

_log = logging.getLogger("actors.room")


class Room(Actor[Message]):
    """Virtual: woken by the first message, asleep again when nobody needs it."""

    __slots__ = ("_desk", "_ephemeral", "_fold", "_held", "_listeners", "_looked", "_questions", "_recent", "_told", "_untold", "_waits_for",
                 "house", "key", "partition")

    mailbox: ClassVar[int] = 65_536  # far more than what the desk takes: full means something is very wrong
    idle: ClassVar[float] = 60.0
    refusals: ClassVar[tuple[type[Exception], ...]] = (Refused,)

    def __init__(self, house: House, key: Key, partition: int) -> None:
        self.house, self.key, self.partition = house, key, partition
        self._fold: Fold | None = None
        self._desk = Desk()
        self._held: deque[tuple[Message, Later]] = NOTHING
        self._listeners: dict[str, None] = {}
        self._recent: deque[Recent] = NOTHING
        self._untold: deque[tuple[Entry, Outcome, dict[str, Any] | None]] = NOTHING
        self._told = 0  # the seq up to which listeners have been told
        self._looked: dict[bytes, bool] = {}
        self._questions = Questions(self)
        self._ephemeral = Inhabitants(self)
        self._waits_for = ""  # the errand that the desk waits for: look or key

    def receive(self, message: Message) -> object:
        """Handle a message, or hold it until the room is awake."""
        if isinstance(message, Heard) and not self._ephemeral.concerned(message.signal, listening=bool(self._listeners)):
            return None
        if isinstance(message, Woken):
            self._woken(message)
            return None
        if self._fold is None and self._needs_fold(message):
            return self._hold(message)
        return self._handle(message)

    def settled(self) -> None:
        """What gathered in the mailbox goes into one record."""
        if self._fold is not None and self._desk.queue and self._desk.flight is None and not self._waits_for:
            self._depart(self._fold)

    def may_sleep(self) -> bool:
        """Not with anything under way. With listeners, or parts that must not be lost, it only dozes: it keeps these, and forgets the rest."""
        if self._desk.busy or self._held or self._untold or self._questions.waiting:
            return False
        if self._listeners or not self._ephemeral.may_sleep():
            self._fold = None
            self._held = self._recent = self._untold = self._desk.queue = NOTHING
            return False
        return True

    async def stopped(self, exit: Exit) -> None:
        """Answer everybody: what is on its way may yet land."""
        if self._desk.flight is not None:
            self.house.deadlines.landed(self._desk.flight.number)
        self._desk.refuse_all(moved(), TIMEOUT)
        self._not_woken(moved())
        self._ephemeral.stopped()
        for worker in self._listeners:
            self.house.spread.gone(worker, self.key)

    def _needs_fold(self, message: Message) -> bool:
        signal = message.signal if isinstance(message, Heard) else message
        return self._ephemeral.needs_fold(signal) if isinstance(signal, Signal) else not isinstance(signal, Unlisten | Gone | Rung)

    def _handle(self, message: Message) -> object:
        match message:
            case Submit():
                return self._submit(message)
            case Rows():
                self._rows(message.rows)
            case Appended():
                self._appended(message)
            case Ask():
                return self._questions.surely(partial(self._questions.ask, message), doubted=message.view.sure)
            case Listen():
                self._listeners[message.worker] = None
                return self._told
            case Unlisten():
                return self._unlisten(message.worker)
            case Signal():
                return self._questions.surely(partial(self._ephemeral.signal, message))
            case Heard():
                self._ephemeral.heard(message.signal)
            case Gone():
                self._gone(message.worker)
            case Rung():
                message.call()
            case Overdue():
                self._overdue(message.number)
            case Late():
                self._late(message.number)
            case Looked():
                self._found(message)
            case KeysReady():
                self._keys_ready(message)
            case Patience():
                self._questions.out_of_patience(message.later)
            case Woken():
                raise AssertionError("handled before")
        return None

    # Waking.

    def _hold(self, message: Message) -> Later:
        later = Later()
        if not self._held:
            self._read()
        self._held = begun(self._held)
        self._held.append((message, later))
        return later

    def _read(self, after: float = 0.0) -> None:
        async def read() -> Read:
            await trio.sleep(after)
            return await read_stored(self.house.log, self.house.parts, self.key, self.partition)

        self.errand(read, lambda result, error: Woken(result, error))

    def _woken(self, message: Woken) -> None:
        if self._fold is not None:
            return None
        if self.partition not in self.house.tails:
            return self._not_woken(moved())
        if message.error is not None or not isinstance(message.read, Read):
            _log.warning("%s cannot wake: %r", self.key, message.error)
            return self._not_woken(NOT_NOW)
        if not reaches(self.house.tails, self.partition, message.read):
            return self._read(AGAIN_S)
        fold = message.read.fold
        if self._listeners and fold.seq > self._told:
            for worker in self._listeners:  # stored while this room dozed: they fetch what they lack
                self.house.spread.lags(worker, self.key, fold.seq)
        self._told = max(self._told, fold.seq)
        news = catch_up(self.house.tails, self.partition, self.key, fold, self._applied)
        self._fold = fold
        if not self._untold:
            self._told = fold.seq
        self._ephemeral.caught_up(news)
        self._release()

    def _not_woken(self, refused: Refused) -> None:
        while self._held:
            message, later = self._held.popleft()
            if isinstance(message, Rows | Heard):
                continue  # rows are in the tail, and storing folds by itself what no room does
            later.fail(refused)

    def _release(self) -> None:
        held, self._held = self._held, NOTHING
        for message, later in held:
            settle(later, partial(self._handle, message))
        self._tell()

    # Appending.

    def _submit(self, message: Submit) -> Later:
        desk, now = self._desk, trio.current_time()
        waiting = Waiting(message.act, now, sure=self.house.certainty.needless)
        if (desk.flight is not None and desk.flight.overdue) or self.house.storer.behind(self.partition, now):
            waiting.fail(NOT_NOW)
        elif len(desk.queue) >= MOST_WAITING:
            waiting.fail(TOO_MANY)
        elif self.house.storer.crowded(self.partition, self.key.tenant):
            waiting.fail(CROWDED)
        else:
            desk.queue = begun(desk.queue)
            desk.queue.append(waiting)
        return waiting

    def _depart(self, fold: Fold) -> None:
        """Make a record of what waits, and append it."""
        house = self.house
        built = build(house, self.key, fold, self._desk, house.tails.stored(self.partition), self._looked, self.blocks)
        if built.riding:
            self._looked.clear()
            flight = self._desk.flight = Flight(house.next_flight(), built.riding)
            house.deadlines.left(flight.number, self.ref, flight.oldest)
            record = Record(self.partition, self.key.tenant, self.key.conversation, tuple(built.riding))
            house.log.append(record, partial(self._say_appended, flight.number))
        elif built.look:
            self._look(fold)
        elif built.needs:
            self._waits_for = "key"
            self.errand(built.needs, lambda _, error: KeysReady(error))

    def _say_appended(self, number: int, error: StorageError | None) -> None:
        """The log's word. Mostly it comes just before what was appended is read back, and then there is nothing to do until that is."""
        flight = self._desk.flight
        if error is None and flight is not None and flight.number == number and flight.undecided:
            flight.acknowledged = True
        else:
            self._message(Appended(number, error))

    def _appended(self, message: Appended) -> None:
        flight = self._desk.flight
        if flight is None or flight.number != message.number:
            return None
        if message.error is None:
            flight.acknowledged = True
            return self._land()
        self.house.deadlines.landed(flight.number)
        self._desk.flight = None
        for riding in flight.riding.values():
            riding.waiting.fail(said_of(message.error))

    def _land(self) -> None:
        """When all of a record is acknowledged and read back: answer, each by the verdict of its own append."""
        flight = self._desk.flight
        if flight is None or not flight.complete:
            return
        self._desk.flight = None
        self.house.deadlines.landed(flight.number)
        stale = [riding.waiting for riding in flight.riding.values() if not riding.answer()]
        if stale:
            self._desk.queue = begun(self._desk.queue)
            self._desk.queue.extendleft(reversed(stale))

    def _late(self, number: int) -> None:
        """Commands that had waited before their record left have waited long enough; the others go on waiting."""
        flight = self._desk.flight
        if flight is None or flight.number != number:
            return
        before = trio.current_time() - VERDICT_WITHIN_S
        for riding in flight.riding.values():
            if riding.waiting.since <= before:
                riding.waiting.fail(TIMEOUT)
        if left := flight.came():
            self.house.deadlines.waited(number, self.ref, min(left))

    def _overdue(self, number: int) -> None:
        flight = self._desk.flight
        if flight is None or flight.number != number:
            return
        if flight.overdue:  # the second time: the log is taken to have given up
            self._desk.flight = None
            return
        flight.overdue = True
        for riding in flight.riding.values():
            riding.waiting.fail(TIMEOUT)
        while self._desk.queue:
            self._desk.queue.popleft().fail(NOT_NOW)

    # Old ids.

    def _look(self, fold: Fold) -> None:
        """Ask storage about all old ids that wait, as many as one record may take: asked one by one, they would leave one by one."""
        self._waits_for = "look"
        ops: dict[bytes, None] = {}
        for waiting in islice(self._desk.queue, MOST_COMMANDS):
            if old := old_ops(fold, waiting.act):
                waiting.asked(fold.seq)
                ops.update(dict.fromkeys(old))
        self.errand(partial(self.house.log.find, Scope(self.key.tenant), self.key.conversation, ops),
                    lambda rows, error: Looked(ops, rows or {}, error))

    def _found(self, message: Looked) -> None:
        self._waits_for = ""
        self._looked = {} if message.error is not None else {op: op in message.rows for op in message.ops}
        self._desk.queue = deque(waiting for waiting in self._desk.queue if not _answers(message, waiting)) or NOTHING

    # Applying and telling.

    def _rows(self, rows: Any) -> None:
        fold, flight = self._fold, self._desk.flight
        assert fold is not None
        for row in rows:
            if row.place <= fold.place:
                continue
            riding = flight.riding.get(row.data) if flight else None
            entry = riding.entry if riding else decode_entry(row.data)
            outcome = fold.apply(entry, row.place)
            if riding and flight:
                flight.decided(riding, outcome)
            self._applied(fold, row, entry, outcome, riding.plain if riding else None)
            if outcome.what == "ok":
                self._ephemeral.applied(entry, outcome)
                if riding and outcome.n:
                    self._ephemeral.said(entry, outcome, riding.plain)
        self._tell()
        self._land()
        self._questions.read_on()

    def _applied(self, fold: Fold, row: Row, entry: Entry, outcome: Outcome, plain: dict[str, Any] | None = None) -> None:
        self.house.storer.decided(fold, row, entry, outcome)
        if outcome.what != "ok":
            return
        self.house.agreement.applied(self.key, fold)
        self._recent = recent = begun(self._unstored())
        recent.append(Recent(outcome.seq, outcome.n, row.place, entry.kind, without_body(row.data) if outcome.hidden else row.data))
        if removed := removed_by(entry.facts):
            self._recent = without(recent, removed)
        if self._listeners and outcome.seq > self._told:
            self._untold = begun(self._untold)
            self._untold.append((entry, outcome, plain))

    def _tell(self) -> None:
        """Tell the listeners what they have not been told, in order; pause where a key has to be fetched first."""
        while self._untold and self._listeners:
            entry, outcome, plain = self._untold[0]
            body = None if outcome.hidden else plain if plain is not None else open_body(self.house, entry)
            if body is MISSING:
                return self._fetch_key(entry)
            self._untold.popleft()
            self._told = outcome.seq
            shown_as = "" if self._fold is not None and self._fold.type else "me"
            push = pack(render_push(self.house.kinds, entry, outcome.seq, outcome.n, body, shown_as))
            touched = self.house.kinds[entry.kind].touches(entry)
            for worker in self._listeners:
                self.house.spread.spread(worker, self.key, outcome.seq, push, touched)
        if not self._untold or not self._listeners:
            self._untold.clear()
            self._told = self._fold.seq if self._fold is not None else self._told

    def _fetch_key(self, entry: Entry, after: float = 0.0) -> None:
        async def ensure() -> None:
            await trio.sleep(after)
            await self.house.vault.ensure(self.key.tenant, [entry.key])

        self.errand(ensure, lambda _, error: KeysReady(error))

    def _keys_ready(self, message: KeysReady) -> None:
        if self._waits_for == "key":
            self._waits_for = ""
            if message.error is not None and self._desk.queue:
                self._desk.queue.popleft().fail(NOT_NOW)
        if self._untold and message.error is not None:
            return self._fetch_key(self._untold[0][0], AGAIN_S * 10)
        self._tell()

    # What lives here without being logged.

    @property
    def awake(self) -> bool:
        """Whether the fold is in memory."""
        return self._fold is not None

    @property
    def fold(self) -> Fold:
        """The conversation as it stands."""
        assert self._fold is not None
        return self._fold

    @property
    def blocks(self) -> Blocks | None:
        """Who blocks whom; only between two."""
        return cast(Blocks, self._ephemeral.part("block")) if self._fold is not None and self._fold.type == "direct" else None

    def emit(self, push: Mapping[str, Any], but: str = "") -> None:
        """Tell all who watch, on all workers of this node, but the connection called `but`."""
        wire = pack({"t": push["t"], "c": self.key.conversation, "p": push["p"]})
        for worker in self._listeners:
            self.house.spread.emit(worker, self.key, wire, but)

    def address(self, pushes: Sequence[Mapping[str, Any]], users: Collection[str], *, watching: bool) -> None:
        """Tell these users alone, in one frame, on connections that watch, or on those that do not."""
        named = [{"t": push["t"], "c": self.key.conversation, "p": push["p"]} for push in pushes]
        self.house.spread.address(self.key, pack(named[0] if len(named) == 1 else named), users, watching=watching)

    def cross(self, signal: Signal) -> None:
        """Tell the rooms that other nodes have of this conversation."""
        self.house.across.tell_signal(self.key, signal)

    def alarm(self, seconds: float, call: Callable[[], None]) -> Alarm:
        """Call in so many seconds, as a message of this room's own."""
        return self.house.alarms.after(seconds, lambda: self._message(Rung(call)))

    def append(self, act: Act) -> Later:
        """Have an act of this conversation decided; a dozing room wakes for it."""
        return self._submit(Submit(act)) if self._fold is not None else self._hold(Submit(act))

    def _unlisten(self, worker: str) -> Later | None:
        self._listeners.pop(worker, None)
        return None if self._listeners else self._ephemeral.unheard()

    def _gone(self, worker: str) -> None:
        self._unlisten(worker)
        self._ephemeral.left(worker)

    def recent(self) -> Sequence[Recent]:
        """What storage does not have yet, of what the log has accepted."""
        return list(self._unstored())

    def _unstored(self) -> deque[Recent]:
        stored, recent = self.house.tails.stored(self.partition), self._recent
        while recent and recent[0].place <= stored:
            recent.popleft()
        return recent

    # Errands.

    def errand(self, work: Callable[[], Awaitable[Any]], outcome: Callable[[Any, Exception | None], Message], within: float = 10.0) -> None:
        """Do what needs time; what comes of it comes back as a message."""
        if not self.house.errands.run(work, lambda result, error: self._message(outcome(result, error)), within):
            self._message(outcome(None, NOT_NOW))

    def _message(self, message: Message) -> None:
        try:
            self.ref.send_nowait(message)
        except (ActorStopped, MailboxFull) as lost:
            _log.warning("%s is gone, and with it %s: %r", self.key, type(message).__name__, lost)


def _answers(found: Looked, waiting: Waiting) -> bool:
    """Whether what storage was asked for is a command's answer: that it was accepted long ago, or that nobody can say."""
    if waiting.checked is None:
        return False
    if found.error is not None:
        waiting.fail(NOT_NOW)
        return True
    row = found.rows.get(waiting.act.op)
    if row is None:
        return False
    first = decode_entry(row.data)
    if first.digest == waiting.act.digest:
        waiting.answer(Verdict(row.seq, row.n, first.at, duplicate=True))
    else:
        waiting.fail(conflict(waiting.act.kind))
    return True
