"""Documents: small maps by key, always inside one tenant."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from storage.ports.entry import Place
from storage.ports.scope import Tenanted

Document = dict[str, Any]
T = TypeVar("T")


class Held(NamedTuple):
    """A document and the place (or version) of its last change."""

    key: str
    doc: Document
    place: Place


class Index(NamedTuple):
    """Fields that `find` may ask for: all of `equal` by equality, then one range on `order`."""

    equal: tuple[str, ...]
    order: str = ""


INDEXES: Mapping[str, Mapping[str, Index]] = {
    "users": {"external": Index(("external_id",)), "all": Index((), "external_id")},
    "user_acts": {"of_user": Index(("user",), "at")},
    "memberships": {"of_user": Index(("user",)), "of_conversation": Index(("conversation",), "joined")},
    "blocks": {"of_user": Index(("user",), "seq")},
    "sessions": {"of_user": Index(("user",))},
    "applications": {"all": Index(())},
    "api_keys": {"of_application": Index(("application",))},
    "token_keys": {"of_application": Index(("application",))},
}
"""Every index there is, by collection and name. A field that a document does not have is not indexed."""


def declared(collection: str, index: str) -> Index:
    """An index of INDEXES. Raises LookupError for one that is not there."""
    if index not in INDEXES.get(collection, {}):
        raise LookupError(f"no index {index!r} is declared for {collection!r}: see storage.ports.documents.INDEXES")
    return INDEXES[collection][index]


def version(number: int) -> Place:
    """The place of a document that follows no log: a plain version number, from 1."""
    return Place(0, number, 0)


class Documents(Protocol):
    """Seven methods. Values are what msgpack can hold (bytes included)."""

    async def get(self, scope: Tenanted, collection: str, key: str) -> Held | None:
        """One document."""
        ...

    async def get_many(self, scope: Tenanted, collection: str, keys: Sequence[str]) -> dict[str, Held]:
        """Those of the keys that exist, in one read."""
        ...

    async def peek(self, scope: Tenanted, collection: str, keys: Sequence[str], shape: type[T]) -> dict[str, T]:
        """Some fields of many documents, in one read: `shape` is a msgspec Struct, and what it does not name is passed over. Cheaper
        than `get_many` for whoever looks at thousands and wants little of each."""
        ...

    async def put(self, scope: Tenanted, collection: str, key: str, doc: Document, place: Place) -> bool:
        """Write it if the stored place is strictly earlier than `place` (or there is none); say whether it was. So a
        repeat does nothing, and of two writers with one version the first wins. Raises StorageFull, StorageAway."""
        ...

    async def delete(self, scope: Tenanted, collection: str, key: str, place: Place) -> bool:
        """Remove it under the same rule; the place is remembered, so an earlier put cannot bring it back."""
        ...

    async def find(self, scope: Tenanted, collection: str, index: str, equal: Sequence[str | int], *, after: str | int | None = None,
                   limit: int = 100, newest: bool = False) -> Sequence[Held]:
        """Documents by a declared index: equal in all its fields, ordered by its order field and then by key; `after` is an
        exclusive bound on the order field (below it when `newest`). LookupError for an index that is not declared."""
        ...

    async def keys(self, scope: Tenanted, collection: str, index: str, equal: Sequence[str | int], *, limit: int = 100) -> Sequence[str]:
        """What `find` would find, by name alone: read from the index, without a look at the documents."""
        ...
