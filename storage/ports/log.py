"""The log: what is appended comes back in order; what was accepted of it can be read by seq for as long as it is kept.

The log's order is the decision (docs/semantics.md). `append` is a request; the truth is what `receive` gives back. Storing
(`actors/storing.py`) folds what came back and says with `store` which entries were accepted, as which seq; from then on they
are *stored entries*, the record that lasts.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from storage.ports.entry import Place
from storage.ports.errors import StorageError
from storage.ports.scope import Tenanted


class Record(NamedTuple):
    """What one room appends at once: entries of one conversation, kept together and in this order."""

    partition: int
    tenant: str
    conversation: str
    entries: Sequence[bytes]


class Row(msgspec.Struct, frozen=True, gc=False):
    """One entry as the log gives it back. `data` is undecoded; it may be damaged."""

    place: Place
    partition: int
    tenant: str
    conversation: str
    data: bytes


class StoredRow(NamedTuple):
    """A stored entry. `n` is its place among messages, 0 when it has none."""

    seq: int
    n: int
    place: Place
    data: bytes


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """Storing's word on one entry: it was accepted as `seq` of its conversation. `data` is kept where the log is not the store."""

    row: Row
    seq: int
    n: int
    kind: str
    op: bytes


class Change(msgspec.Struct, frozen=True, gc=False):
    """A document as of `place`; written only if the stored one's place is earlier. `doc` None deletes (the place is kept)."""

    tenant: str
    collection: str
    key: str
    doc: dict[str, Any] | None
    place: Place


class Storing(NamedTuple):
    """One step of storing, written in this order (embedded: in one transaction): entries, changes, heads, places."""

    entries: Sequence[Accepted] = ()
    changes: Sequence[Change] = ()
    heads: Sequence[Change] = ()
    places: Mapping[int, Place] = {}
    """The new stored place of each partition; never moves back."""
    cleared: Sequence[tuple[str, str, int]] = ()
    """(tenant, conversation, seq) of stored entries whose body is to be removed; the stub stays."""


class Loaded(NamedTuple):
    """What a room wakes from: the partition's stored place, then head, parts and window."""

    stored: Place
    head: dict[str, Any] | None
    parts: Sequence[dict[str, Any]]
    window: Sequence[StoredRow]


class Entries(Protocol):
    """Stored entries, to be read: three methods."""

    async def entries(self, scope: Tenanted, conversation: str, after: int, before: int, limit: int, *,
                      newest: bool = False, kinds: Sequence[str] = (), seqs: Sequence[int] = ()) -> Sequence[StoredRow]:
        """Stored entries with after < seq < before, `limit` at most: the oldest of them, or the newest; always in order of
        seq. With `kinds` only those; with `seqs` (10,000 at most) only these."""
        ...

    async def of_each(self, scope: Tenanted, wanted: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], StoredRow]:
        """The stored entries at these (conversation, seq), all in one read; left out where there is none."""
        ...

    async def find(self, scope: Tenanted, conversation: str, ops: Collection[bytes]) -> Mapping[bytes, StoredRow]:
        """The stored entries of these acts (1,000 at most), however old, all in one read; left out where there is none."""
        ...


class Log(Entries, Protocol):
    """Seven methods, those of its stored entries, and two (`stores`, `stored_after`) that only followers have."""

    partitions: int
    """How many partitions the set-up was made with."""
    generation: int
    epoch: int
    alone: bool
    """Whether the workers of one node are all who append. Then whoever follows a partition knows what was acknowledged there, and nobody
    needs `ends`."""

    def append(self, record: Record, done: Callable[[StorageError | None], None]) -> None:
        """Ask for a record to be appended; `done(None)` when it is durable, `done(error)` when it was not (StorageFull,
        StorageAway: surely not; OutcomeUnknown: perhaps). Never waits, never raises. `done` runs in the caller's thread,
        later; the rows themselves come by `receive`, in the log's order, neither before nor after on purpose."""
        ...

    async def follow(self, after: Mapping[int, Place]) -> Mapping[int, Place]:
        """From now on `receive` gives the rows of exactly these partitions, of each those after the place named here.
        Partitions followed already go on where they are (their place here is ignored). Returns when everything that was
        durable at the call will come by `receive` before anything later: of each partition that is new, up to the place
        given back (those of which nothing will come are left out)."""
        ...

    def leave(self, partitions: Collection[int]) -> None:
        """Follow these no more, from this moment on: `receive` gives no row of them, and who follows one again has it from where he says then."""
        ...

    async def receive(self) -> Sequence[Row]:
        """The next rows of the followed partitions, at least one, in order of place within each. Waits. One caller."""
        ...

    async def ends(self, partitions: Collection[int]) -> Mapping[int, Place]:
        """How far these partitions reach: what was acknowledged before the call, to whichever node, has come by `receive` when a row at
        this place has, or a later one. Those without a row are left out. Raises StorageAway."""
        ...

    async def stored_places(self) -> dict[int, Place]:
        """The stored place of every partition that has one, in one read."""
        ...

    async def store(self, step: Storing) -> None:
        """Write one step of storing; durable when it returns. Only forward: a repeat, or a ghost's late step, does nothing.
        Raises Unwritable for a document that cannot be kept: then nothing of the step was written."""
        ...

    async def load(self, scope: Tenanted, conversation: str, partition: int) -> Loaded:
        """What a room wakes from: the stored place, the head (document `heads/<conversation>`), the parts (documents of
        collection `parts` whose key begins `<conversation>/`, in order of key), and the stored entries with
        head["window"] <= seq <= head["seq"], in order. Each is of the moment of what stands before it, or later: a head may be
        later than the stored place, and a part later than its head, for a moment (then it is to be read again)."""
        ...

class Stored(NamedTuple):
    """A stored entry as followers read it."""

    tenant: str
    conversation: str
    row: StoredRow


class Following(Protocol):
    """What only followers have, storing among them."""

    def stores(self, followed: Collection[int]) -> Collection[int]:
        """Those of the partitions followed here that this worker is to store just now, and run followers over. Never waits; asked once a
        second, and whenever partitions come or go, so it answers from what is known.

        Over all nodes each partition should be stored by one. Where there is one node that is all it follows; otherwise the backend
        divides them (the cluster: as a consumer group assigns them, which every worker joins). It need not be exact: two that store the
        same do no harm, for `store` only goes forward, and what nobody stores is taken over after a while by those who follow it
        (`actors/storing.py`). The other nodes learn how far it has come from `stored_places`.
        """
        ...

    async def stored_after(self, partition: int, after: Place, limit: int) -> Sequence[Stored]:
        """Stored entries of a partition in order of place, after this one, none later than the stored place."""
        ...
