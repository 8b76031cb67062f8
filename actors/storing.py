"""Storing: the one follower that folds. It takes the rooms' verdicts in the log's order and writes them down, gathered.

A partition's stored place only moves over rows whose verdict is known. Where no room is awake to give one, storing folds by itself.

Of several nodes one stores a partition, as the log says (`stores`); on the others its rows wait here until that one has stored them, so
that they know how far it lags. When it lags for long, they store too: two that do write the same, and storage only goes forward.
"""

import logging
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from itertools import takewhile
from typing import Protocol

import trio

from actors.keys import Key
from actors.tails import Tails
from actors.waking import read_stored
from services.amending import Document, Step, amended, documents_of
from services.deciding import Fold, Outcome, Parts
from services.heads import head_of
from services.kinds import Kinds
from services.scope import Scope
from storage.ports.documents import Documents
from storage.ports.entry import Entry, Place, decode_entry
from storage.ports.errors import StorageError, Unwritable
from storage.ports.log import Accepted, Change, Log, Row, Storing

_log = logging.getLogger("actors.storing")

GATHER, GATHER_S = 500, 0.25
QUIET, QUIET_S, APART_S = 40, 0.02, 0.1
"""While no more than QUIET rows come between two rounds, what comes alone is stored after QUIET_S, and rounds are APART_S apart at least: lists
show and followers tell (mentions, invitations) what has just happened, and a transaction for each row of a steady trickle would cost more than
the rows. Anything busier is gathered."""
ALONE_AFTER_S = 1.0
"""A row without a verdict for so long is folded by storing itself."""
BEHIND_S, BEHIND_BYTES, TENANT_BYTES = 30.0, 64 * 1024 * 1024, 8 * 1024 * 1024
RETRY_S = 1.0
TAKEN_OVER_AFTER_S = 10.0
"""A row that another node should have stored, and has not for so long, is stored here."""


class Told(Protocol):
    """A follower, as storing sees it."""

    def wants(self, entry: Entry) -> bool: ...

    def stored(self, partition: int, place: Place, *, wanted: bool) -> None: ...

    def reassigned(self) -> None: ...


class Slot:
    """A row on its way into storage."""

    __slots__ = ("accepted", "changes", "cleared", "head", "known", "row", "since", "step", "wanted")

    def __init__(self, row: Row, since: float) -> None:
        self.row, self.since = row, since
        self.forget()

    def forget(self) -> None:
        """There is no verdict (any more: another node stores it)."""
        self.known = False
        self.accepted: Accepted | None = None
        self.changes: Sequence[Change] = ()
        self.head: Change | None = None
        self.step: Step | None = None
        self.cleared: tuple[tuple[str, str, int], ...] = ()
        self.wanted: Sequence[Told] = ()


class Queue:
    """One partition's rows that are not stored, in order. `ours`: this worker stores them."""

    __slots__ = ("by_place", "by_tenant", "bytes", "ours", "slots")

    def __init__(self) -> None:
        self.ours = False
        self.slots: deque[Slot] = deque()
        self.by_place: dict[Place, Slot] = {}
        self.by_tenant: dict[str, int] = {}
        self.bytes = 0

    def last_in(self, slot: Slot) -> None:
        """A row was read."""
        row = slot.row
        self.by_place[row.place] = slot
        self.slots.append(slot)
        self.bytes += len(row.data)
        self.by_tenant[row.tenant] = self.by_tenant.get(row.tenant, 0) + len(row.data)

    def first_out(self) -> Slot:
        """The first has been stored."""
        slot = self.slots.popleft()
        row = slot.row
        del self.by_place[row.place]
        self.bytes -= len(row.data)
        self.by_tenant[row.tenant] -= len(row.data)
        if not self.by_tenant[row.tenant]:
            del self.by_tenant[row.tenant]
        return slot


class Storer:
    """Gathers verdicts and writes them. Runs as a task of the worker."""

    def __init__(self, log: Log, documents: Documents, tails: Tails, parts: Parts, kinds: Kinds) -> None:
        self._log, self._documents, self._tails, self._parts, self._kinds = log, documents, tails, parts, kinds
        self._queues: dict[int, Queue] = {}
        self._known, self._wanted, self._quiet = 0, trio.Event(), True
        self.steps = 0
        self.told: list[Told] = []
        """Who is told what was stored."""

    def begin(self, partition: int) -> None:
        """Take a partition's rows from now on; whether they are ours to store, `divide` says."""
        self._queues[partition] = Queue()

    @property
    def stores(self) -> Collection[int]:
        """The partitions that are ours to store, and to follow."""
        return [partition for partition, queue in self._queues.items() if queue.ours]

    def is_ours(self, partition: int) -> bool:
        """Whether it is ours to store: then somebody here has to fold it."""
        queue = self._queues.get(partition)
        return queue is not None and queue.ours

    def divide(self, ours: Collection[int]) -> None:
        """These are ours to store; and those that whoever else should store them has left alone for long."""
        late, gained = trio.current_time() - TAKEN_OVER_AFTER_S, False
        for partition, queue in self._queues.items():
            mine = partition in ours or bool(queue.slots and queue.slots[0].since <= late)
            gained = gained or (mine and not queue.ours)
            if queue.ours and not mine:
                self._known -= sum(slot.known for slot in queue.slots)
                for slot in queue.slots:
                    slot.forget()
            queue.ours = mine
        if gained:
            for told in self.told:
                told.reassigned()

    def settle(self, partition: int, place: Place) -> None:
        """Storage has come to this place. What waits for another node to store it waits no longer."""
        queue = self._queues.get(partition)
        while queue and not queue.ours and queue.slots and queue.slots[0].row.place <= place:
            queue.first_out()

    def end(self, partition: int) -> None:
        """Leave it to whoever follows it now."""
        queue = self._queues.pop(partition, None)
        self._known -= sum(slot.known for slot in queue.slots) if queue else 0

    def expect(self, row: Row, now: float) -> None:
        """A row was read, now: its verdict will come."""
        queue = self._queues.get(row.partition)
        if queue is not None:
            queue.last_in(Slot(row, now))

    def decided(self, fold: Fold, row: Row, entry: Entry, outcome: Outcome) -> None:
        """A verdict. Only the first counts; for a row that is stored already it does nothing."""
        queue = self._queues.get(row.partition)
        slot = queue.by_place.get(row.place) if queue and queue.ours else None
        if slot is None or slot.known:
            return
        slot.known = True
        self._known += 1
        if outcome.what == "ok":
            slot.accepted = Accepted(row, outcome.seq, outcome.n, entry.kind, entry.op)
            slot.changes = outcome.changes
            slot.wanted = [told for told in self.told if told.wants(entry)]
            slot.head = Change(row.tenant, "heads", row.conversation, head_of(fold), row.place)
            slot.cleared = ((row.tenant, row.conversation, outcome.seq),) if outcome.hidden else ()
            if amends := self._kinds[entry.kind].amends(entry, outcome.seq, outcome.n):
                slot.step = Step(row.tenant, row.conversation, row.place, amends)
        if self._quiet or self._known >= GATHER:
            self._wanted.set()

    def behind(self, partition: int, now: float) -> bool:
        """Whether storing lags so far, now, that sends there are refused."""
        queue = self._queues.get(partition)
        if queue is None or not queue.slots:
            return False
        return queue.bytes > BEHIND_BYTES or now - queue.slots[0].since > BEHIND_S

    def crowded(self, partition: int, tenant: str) -> bool:
        """Whether so much of one tenant waits to be stored that the others of the partition would suffer."""
        queue = self._queues.get(partition)
        return queue is not None and queue.by_tenant.get(tenant, 0) > TENANT_BYTES

    def waiting(self) -> int:
        """How many rows have been read and are not stored."""
        return sum(len(queue.slots) for queue in self._queues.values())

    async def run(self) -> None:
        """Store for as long as the worker lives."""
        earliest = 0.0
        while True:
            with trio.move_on_after(GATHER_S):
                await self._wanted.wait()
                if self._known < GATHER:
                    await trio.sleep(max(QUIET_S, earliest - trio.current_time()))
            if self._known:
                earliest = trio.current_time() + APART_S
            self._quiet = self._known <= QUIET
            self._wanted = trio.Event()
            await self._round()

    async def finish(self) -> None:
        """Store what is known, before leaving."""
        await self._round()

    async def _round(self) -> None:
        await self._fold_alone()
        slots = self._decided()
        try:
            with trio.fail_after(BEHIND_S):
                await self._store(slots)
        except Unwritable:
            await self._set_apart(slots)
        except (StorageError, trio.TooSlowError) as error:
            _log.warning("storing cannot go on and tries again: %r", error)
            await trio.sleep(RETRY_S)

    def _decided(self) -> list[Slot]:
        """Of each partition as many rows as have a verdict, from the first on."""
        return [slot for queue in self._queues.values() if queue.ours for slot in takewhile(_is_known, queue.slots)]

    async def _store(self, slots: Sequence[Slot]) -> None:
        step, steps = self._gathered(slots)
        if step.places:
            await self._log.store(await self._amended(step, steps) if steps else step)
            self._stored(step)

    async def _set_apart(self, slots: Sequence[Slot]) -> None:
        """One by one: an entry whose documents cannot be kept is stored without them. It stays in the log as it is, and closes nothing."""
        try:
            for slot in slots:
                with trio.fail_after(BEHIND_S):
                    await self._store_alone(slot)
        except (StorageError, trio.TooSlowError) as error:
            _log.warning("storing cannot go on and tries again: %r", error)
            await trio.sleep(RETRY_S)

    async def _store_alone(self, slot: Slot) -> None:
        try:
            await self._store([slot])
        except Unwritable as error:
            _log.critical("what follows from the entry at %s cannot be stored, and is left out: %s", tuple(slot.row.place), error)
            slot.changes, slot.step = (), None
            await self._store([slot])

    def _gathered(self, slots: Iterable[Slot]) -> tuple[Storing, list[Step]]:
        """One step of these rows, and what they amend."""
        steps: list[Step] = []
        cleared: list[tuple[str, str, int]] = []
        entries: list[Accepted] = []
        changes: dict[tuple[str, str, str], Change] = {}
        heads: dict[tuple[str, str], Change] = {}
        places: dict[int, Place] = {}
        for slot in slots:
            places[slot.row.partition] = slot.row.place
            if slot.accepted is not None and slot.head is not None:
                entries.append(slot.accepted)
                changes.update(((change.tenant, change.collection, change.key), change) for change in slot.changes)
                heads[slot.head.tenant, slot.head.key] = slot.head
                cleared += slot.cleared
                if slot.step is not None:
                    steps.append(slot.step)
        return Storing(entries, list(changes.values()), list(heads.values()), places, cleared), steps

    async def _amended(self, step: Storing, steps: list[Step]) -> Storing:
        """The step, with the documents that its entries amend as they are after it."""
        known: dict[tuple[str, str, str], tuple[Document, Place]] = {}
        for (tenant, collection), keys in documents_of(steps).items():
            for key, held in (await self._documents.get_many(Scope(tenant), collection, keys)).items():
                known[tenant, collection, key] = (held.doc, held.place)
        changes, cleared = amended(steps, known)
        return step._replace(changes=[*step.changes, *changes], cleared=[*step.cleared, *cleared])

    def _stored(self, step: Storing) -> None:
        self.steps += 1
        wanted: set[tuple[int, Told]] = set()
        for partition, place in step.places.items():
            queue = self._queues.get(partition)
            while queue and queue.slots and queue.slots[0].row.place <= place:
                slot = queue.first_out()
                self._known -= slot.known
                wanted.update((partition, told) for told in slot.wanted)
            self._tails.settle(partition, place)
        for partition, place in step.places.items():
            for told in self.told:
                told.stored(partition, place, wanted=(partition, told) in wanted)

    async def _fold_alone(self) -> None:
        """Fold the conversations whose rows have waited too long for a room's verdict."""
        late = trio.current_time() - ALONE_AFTER_S
        for partition, queue in list(self._queues.items()):
            keys = {_key(slot.row) for slot in queue.slots if not slot.known and slot.since <= late} if queue.ours else set()
            rows: dict[Key, list[Row]] = {key: [] for key in sorted(keys)}
            for slot in queue.slots if keys else ():
                if (waiting := rows.get(_key(slot.row))) is not None:
                    waiting.append(slot.row)
            for key, waiting in rows.items():
                await self._fold_one(partition, queue, key, waiting)

    async def _fold_one(self, partition: int, queue: Queue, key: Key, rows: Sequence[Row]) -> None:
        """The rows are all that is not stored, whatever the tail has had to drop: so this waits for nobody, as a room may have to wait for it."""
        try:
            with trio.fail_after(BEHIND_S):
                fold = (await read_stored(self._log, self._parts, key, partition)).fold
        except (StorageError, trio.TooSlowError) as error:
            _log.warning("storing cannot fold %s by itself and tries again: %r", key, error)
            return
        if self._queues.get(partition) is not queue or not queue.ours:
            return  # it went to another worker meanwhile, and what came back with it begins later
        for row in rows:
            if row.place > fold.place:
                entry = decode_entry(row.data)
                self.decided(fold, row, entry, fold.apply(entry, row.place))
            elif slot := queue.by_place.get(row.place):  # the stored head is later: another follower, on its way out, has stored this
                self._pass_over(slot)

    def _pass_over(self, slot: Slot) -> None:
        self._known += not slot.known
        slot.known = True


def _is_known(slot: Slot) -> bool:
    return slot.known


def _key(row: Row) -> Key:
    return Key(row.tenant, row.conversation)
