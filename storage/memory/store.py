"""The data of a set-up in memory: what all its nodes share, and what a crash of a node leaves behind.

Every method is one step that nothing interrupts: the rules themselves, without waiting or losing.
"""

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from storage.memory.weather import Calm, Weather
from storage.ports.documents import Document, Held, Index, declared
from storage.ports.entry import NOWHERE, Place, without_body
from storage.ports.errors import Damaged, StorageFull, Unwritable
from storage.ports.log import Accepted, Change, Loaded, Record, Row, Stored, StoredRow, Storing

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_place = attrgetter("place")


class _Kept(NamedTuple):
    row: StoredRow
    kind: str


class _Conversation:
    """The stored entries of one."""

    def __init__(self) -> None:
        self.kept: dict[int, _Kept] = {}
        self.seqs: list[int] = []
        self.by_op: dict[bytes, int] = {}


_NONE = _Conversation()


class Store:
    """What several nodes open. `full` makes every write fail with StorageFull until it is False again."""

    def __init__(self, partitions: int = 64, *, weather: Weather | None = None, generation: int = 1, epoch: int = 1) -> None:
        self.partitions, self.generation, self.epoch = partitions, generation, epoch
        self.weather: Weather = weather or Calm()
        self.full = False
        self.rows: list[list[Row]] = [[] for _ in range(partitions)]
        self.places: dict[int, Place] = {}
        self.numbers: dict[tuple[str, str], int] = {}
        self.windows: dict[tuple[str, str], tuple[int, int]] = {}
        self.leases: dict[tuple[str, str], tuple[str, int]] = {}
        self.lives: dict[str, int] = {}
        """By holder: until when it lives (ms)."""
        self.marks: dict[tuple[str, str], dict[str, int]] = {}
        self.stores: Callable[[object, int], bool] = lambda log, partition: True
        """Which node (by its MemoryLog) is to store which partition. Tests divide them."""
        self.told: dict[object, Callable[[], None]] = {}
        """By node: called when rows were added."""
        self.heard: dict[object, Callable[[str, bytes], None]] = {}
        """By node: called with each message of the bus."""
        self._offset = 0
        self._conversations: dict[tuple[str, str], _Conversation] = {}
        self._followed: list[list[Stored]] = [[] for _ in range(partitions)]
        self._documents: dict[tuple[str, str], dict[str, tuple[Place, bytes | None]]] = {}

    def append(self, record: Record) -> None:
        """Write a record; its rows stand together. Raises StorageFull."""
        self._needs_room()
        for data in record.entries:
            self._offset += 1
            row = Row(Place(self.generation, self._offset), record.partition, record.tenant, record.conversation, data)
            self.rows[record.partition].append(row)
        for tell in list(self.told.values()):
            tell()

    def rows_after(self, cursors: Mapping[int, Place], most: int) -> list[Row]:
        """Rows of these partitions after these places, the earliest first."""
        found: list[Row] = []
        for partition, place in cursors.items():
            begin = bisect_right(self.rows[partition], place, key=_place)
            found += self.rows[partition][begin : begin + most]
        found.sort(key=_place)
        return found[:most]

    def store(self, step: Storing) -> None:
        """One step of storing, all of it. Raises StorageFull."""
        self._needs_room()
        for change in (*step.changes, *step.heads):
            _check(change)
        before = dict(self.places)
        for entry in sorted(step.entries, key=lambda entry: entry.row.place):
            if entry.row.place > before.get(entry.row.partition, NOWHERE):
                self._keep(entry)
        for change in (*step.changes, *step.heads):
            self._change(change)
        for partition, place in step.places.items():
            self.places[partition] = max(place, before.get(partition, NOWHERE))
        for tenant, conversation, seq in step.cleared:
            self._clear(tenant, conversation, seq)

    def change(self, change: Change) -> bool:
        """Write a document, or its end, if what is there is earlier. Raises StorageFull."""
        self._needs_room()
        _check(change)
        return self._change(change)

    def forget(self, collections: Iterable[str]) -> None:
        """As if nothing had ever been written to these collections."""
        for shelf in [of for of in self._documents if of[1] in collections]:
            del self._documents[shelf]

    def held(self, tenant: str, collection: str, keys: Iterable[str]) -> list[Held]:
        """Those of the documents that exist."""
        shelf = self._documents.get((tenant, collection), {})
        found = ((key, shelf[key]) for key in keys if key in shelf)
        return [Held(key, _decode(doc), place) for key, (place, doc) in found if doc is not None]

    def find(self, tenant: str, collection: str, name: str, equal: Sequence[str | int], after: str | int | None, limit: int,
             newest: bool) -> list[Held]:
        """Documents by a declared index."""
        index = declared(collection, name)
        ordered = sorted(((_order(index, held), held) for held in self.held(tenant, collection, self._keys(tenant, collection))
                          if _indexed(index, held.doc) and [held.doc[field] for field in index.equal] == list(equal)), key=lambda pair: pair[0])
        if newest:
            ordered.reverse()
        if after is not None:
            bound = _rank(after)
            ordered = [(order, held) for order, held in ordered if (order[0] < bound if newest else order[0] > bound)]
        return [held for _, held in ordered[:limit]]

    def load(self, tenant: str, conversation: str, partition: int) -> Loaded:
        """What a room wakes from."""
        head = next(iter(self.held(tenant, "heads", [conversation])), None)
        keys = sorted(key for key in self._keys(tenant, "parts") if key.startswith(f"{conversation}/"))
        parts = [held.doc for held in self.held(tenant, "parts", keys)]
        window = () if head is None else self.entries(tenant, conversation, head.doc["window"] - 1, head.doc["seq"] + 1, head.doc["seq"])
        return Loaded(self.places.get(partition, NOWHERE), head.doc if head else None, parts, window)

    def entries(self, tenant: str, conversation: str, after: int, before: int, limit: int, newest: bool = False,
                kinds: Sequence[str] = (), seqs: Sequence[int] = ()) -> list[StoredRow]:
        """Stored entries between two seqs."""
        known = self._conversations.get((tenant, conversation), _NONE)
        between = (known.kept[seq] for seq in known.seqs if after < seq < before)
        rows = [kept.row for kept in between if (not kinds or kept.kind in kinds) and (not seqs or kept.row.seq in seqs)]
        return rows[max(0, len(rows) - limit):] if newest else rows[:limit]

    def find_act(self, tenant: str, conversation: str, op: bytes) -> StoredRow | None:
        """The stored entry of an act."""
        known = self._conversations.get((tenant, conversation), _NONE)
        return known.kept[known.by_op[op]].row if op in known.by_op else None

    def stored_after(self, partition: int, after: Place, limit: int) -> list[Stored]:
        """Stored entries of a partition as followers read them."""
        begin = bisect_right(self._followed[partition], after, key=lambda stored: stored.row.place)
        return [self._fresh(stored) for stored in self._followed[partition][begin : begin + limit]]

    def damage(self, place: Place) -> None:
        """For tests: change one bit of a row, as a bad disk would."""
        for rows in self.rows:
            for number, row in enumerate(rows):
                if row.place == place:
                    rows[number] = msgspec.structs.replace(row, data=row.data[:-1] + bytes([row.data[-1] ^ 1]))

    def _needs_room(self) -> None:
        if self.full:
            raise StorageFull("the simulated disk is full")

    def _change(self, change: Change) -> bool:
        shelf = self._documents.setdefault((change.tenant, change.collection), {})
        if change.key in shelf and shelf[change.key][0] >= change.place:
            return False
        shelf[change.key] = (change.place, None if change.doc is None else _encode(change.doc))
        return True

    def _fresh(self, stored: Stored) -> Stored:
        """Its body may have been removed since."""
        return stored._replace(row=self._conversations[stored.tenant, stored.conversation].kept[stored.row.seq].row)

    def _keys(self, tenant: str, collection: str) -> list[str]:
        return list(self._documents.get((tenant, collection), ()))

    def _keep(self, entry: Accepted) -> None:
        known = self._conversations.setdefault((entry.row.tenant, entry.row.conversation), _Conversation())
        if entry.seq in known.kept:
            return
        row = StoredRow(entry.seq, entry.n, entry.row.place, entry.row.data)
        known.kept[entry.seq] = _Kept(row, entry.kind)
        insort(known.seqs, entry.seq)
        known.by_op[entry.op] = entry.seq
        self._followed[entry.row.partition].append(Stored(entry.row.tenant, entry.row.conversation, row))

    def _clear(self, tenant: str, conversation: str, seq: int) -> None:
        known = self._conversations.get((tenant, conversation), _NONE)
        kept = known.kept.get(seq)
        if kept is None:
            return
        try:
            known.kept[seq] = kept._replace(row=kept.row._replace(data=without_body(kept.row.data)))
        except Damaged:
            return


def _check(change: Change) -> None:
    try:
        _encode((change.key, change.doc))
    except (TypeError, ValueError, OverflowError) as error:
        raise Unwritable(f"a document cannot be kept: {error}") from error


def _indexed(index: Index, doc: Document) -> bool:
    fields = (*index.equal, index.order) if index.order else index.equal
    return all(doc.get(field) is not None for field in fields)


def _order(index: Index, held: Held) -> tuple[tuple[bool, Any], str]:
    return _rank(held.doc[index.order] if index.order else held.key), held.key


def _rank(value: str | int) -> tuple[bool, Any]:
    """Numbers before text, as SQLite has it."""
    return isinstance(value, str), value
