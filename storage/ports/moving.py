"""Moving a set-up from one backend to another, or keeping a copy of it: everything that was stored, as it lies there. Blocking; no node runs.

What is moved: documents (deleted ones too, for their places are remembered), stored entries, and how far storing has come. What storing had
not reached is not: it is stored first. Counters are not: none is the only copy of anything.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from storage.ports.entry import Place


class SetUp(NamedTuple):
    """What a set-up is. The generation is that of its log; wherever it is moved, the log made there is of the next."""

    partitions: int
    setup: str
    epoch: int
    generation: int


class Document(NamedTuple):
    """One document, packed as msgpack; None: it was deleted."""

    tenant: str
    collection: str
    key: str
    data: bytes | None
    place: Place


class Entry(NamedTuple):
    """One stored entry."""

    tenant: str
    conversation: str
    seq: int
    n: int
    partition: int
    place: Place
    kind: str
    op: bytes
    data: bytes


FOLLOWERS = "followers"
"""The collection whose documents are places in the log, and nothing else. A backend that gives entries new places gives these new ones too."""


class Source(Protocol):
    """Where a set-up lies."""

    def setup(self) -> SetUp: ...

    def unstored(self) -> int:
        """How many rows of the log storing has not passed."""
        ...

    def places(self) -> Mapping[int, Place]:
        """How far storing has come in each partition."""
        ...

    def entries(self) -> Iterator[Entry]:
        """All stored entries, of each partition in order of place."""
        ...

    def documents(self) -> Iterator[Document]:
        """All documents, in no order; not what the backend keeps of the set-up itself."""
        ...

    def leave(self, where: str) -> None:
        """The set-up is elsewhere now: nothing may be started on this one again by mistake."""
        ...


class Target(Protocol):
    """Where it is to lie: called in this order. What is interrupted before `finish` cannot be started, and says so."""

    def begin(self, setup: SetUp) -> None:
        """Raises Unfit where there is a set-up already."""
        ...

    def put_entries(self, entries: Iterable[Entry]) -> None: ...

    def put_documents(self, documents: Iterable[Document]) -> None: ...

    def finish(self, places: Mapping[int, Place]) -> None:
        """From now on it can be started."""
        ...
