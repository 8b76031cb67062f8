"""Documents in memory: kept packed, so that nobody can change one by holding it."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec
import trio

from storage.memory.store import Store
from storage.memory.way import Way
from storage.ports.documents import Document, Held, declared
from storage.ports.entry import Place
from storage.ports.log import Change
from storage.ports.scope import Tenanted

T = TypeVar("T")


class MemoryDocuments:
    """The port Documents."""

    def __init__(self, store: Store, way: Way) -> None:
        self._store, self._way = store, way

    async def get(self, scope: Tenanted, collection: str, key: str) -> Held | None:
        """See the port."""
        return (await self.get_many(scope, collection, [key])).get(key)

    async def get_many(self, scope: Tenanted, collection: str, keys: Sequence[str]) -> dict[str, Held]:
        """See the port."""
        await trio.lowlevel.checkpoint()
        return {held.key: held for held in self._store.held(scope.tenant, collection, dict.fromkeys(keys))}

    async def peek(self, scope: Tenanted, collection: str, keys: Sequence[str], shape: type[T]) -> dict[str, T]:
        """See the port."""
        return {key: msgspec.convert(held.doc, shape) for key, held in (await self.get_many(scope, collection, keys)).items()}

    async def put(self, scope: Tenanted, collection: str, key: str, doc: Document, place: Place) -> bool:
        """See the port."""
        return await self._change(Change(scope.tenant, collection, key, doc, place))

    async def delete(self, scope: Tenanted, collection: str, key: str, place: Place) -> bool:
        """See the port."""
        return await self._change(Change(scope.tenant, collection, key, None, place))

    async def find(self, scope: Tenanted, collection: str, index: str, equal: Sequence[str | int], *, after: str | int | None = None,
                   limit: int = 100, newest: bool = False) -> Sequence[Held]:
        """See the port."""
        declared(collection, index)
        await trio.lowlevel.checkpoint()
        return self._store.find(scope.tenant, collection, index, equal, after, limit, newest)

    async def keys(self, scope: Tenanted, collection: str, index: str, equal: Sequence[str | int], *, limit: int = 100) -> Sequence[str]:
        """See the port."""
        return [held.key for held in await self.find(scope, collection, index, equal, limit=limit)]

    async def forget(self, collections: tuple[str, ...]) -> None:
        """Take away these collections of all tenants. For rebuilding, while nobody is at work."""
        await trio.lowlevel.checkpoint()
        self._store.forget(collections)

    async def _change(self, change: Change) -> bool:
        written: list[bool] = []
        await self._way.write(lambda: written.append(self._store.change(change)))
        return written[0]
