"""The vault: which key seals what, and where keys are kept.

    master key (handed in) -> the tenant's key -> a body key for each author, the tenant's hash key, and other secrets by name

Every key but the master is a document of the tenant, sealed under the one above it and bound to its own name. Rotating the master
or a tenant's key rewraps these small documents and never touches what they seal. Erasing an author's key erases what they wrote.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from protocol.ids import joined
from protocol.world import Rng
from services.recent import Recent
from services.scope import SYSTEM, Scope
from services.vault.sealing import KEY_SIZE, NONCE_SIZE, Unopenable, open_sealed, seal
from storage.ports.documents import Documents, version
from storage.ports.entry import Place

APPLICATION: Final = "~application"
"""Id of the key for what the application itself says; a user's key has the user's internal id."""

_KEYS = "keys"
MASTER: Final = (SYSTEM.tenant, _KEYS, "~master")
"""The document that only the right master key opens: tenant, collection, key."""
_TENANT = "~tenant"
_HASH = "~hash"
_MOST_CACHED = 20_000
_ERASED = Place(1, 0, 0)
"""Later than every version number: nothing brings an erased key back."""


class Vault:
    """Bring keys into memory first (`ensure`, `ensure_author`); then sealing and opening do not wait."""

    def __init__(self, documents: Documents, rng: Rng, master: bytes) -> None:
        """`master`: 32 bytes. Raises ValueError for another size."""
        if len(master) != KEY_SIZE:
            raise ValueError(f"the master key must be {KEY_SIZE} bytes, and is {len(master)}")
        self._documents, self._rng, self._master = documents, rng, master
        self._cached: Recent[tuple[str, str], bytes] = Recent(_MOST_CACHED)  # b"" where a key was erased
        self.erased: list[Callable[[str, str], None]] = []
        """Told of each key (tenant, author) that was erased here, so that all other workers `forget` it."""
        self.lost: list[Callable[[], None]] = []
        """Told when a key is erased, here or elsewhere: nothing may be kept that was opened with it."""

    async def ensure(self, tenant: str, keys: Iterable[str]) -> None:
        """Have these body keys at hand for `open`; one that does not exist counts as erased. Raises StorageError, Unopenable."""
        missing = [key for key in keys if self._cached.get((tenant, key)) is None]
        if not missing:
            return
        above = await self._tenant_key(tenant)
        found = await self._documents.get_many(Scope(tenant), _KEYS, missing)
        for key in missing:
            raw = self._unwrap(above, tenant, key, found[key].doc["sealed"]) if key in found else b""
            self._cached.put((tenant, key), raw)

    async def ensure_author(self, tenant: str, author: str) -> None:
        """Have an author's key at hand for `seal`, made the first time; "" is the application. Raises Unopenable when it was erased."""
        key = author or APPLICATION
        if not self._cached.get((tenant, key)):
            await self.secret(tenant, key)

    def seal(self, tenant: str, author: str, aad: bytes, plain: bytes) -> tuple[str, bytes] | None:
        """(key id, sealed bytes) under the author's key; None while that is not at hand."""
        key = author or APPLICATION
        raw = self._cached.get((tenant, key))
        return (key, seal(raw, aad, plain, self._rng.bytes(NONCE_SIZE))) if raw else None

    def open(self, tenant: str, key: str, aad: bytes, sealed: bytes) -> bytes | None:
        """What was sealed; None while the key is not at hand. Raises Unopenable when the key was erased, or the bytes are others."""
        raw = self._cached.get((tenant, key))
        if raw is None:
            return None
        if not raw:
            raise Unopenable("the key of this was erased")
        return open_sealed(raw, aad, sealed)

    async def hash_key(self, tenant: str) -> bytes:
        """The application's key for derived ids and for "the same act again"; it never changes."""
        return await self.secret(tenant, _HASH)

    async def secret(self, tenant: str, name: str) -> bytes:
        """32 bytes of the tenant's own by this name, made the first time. Raises StorageError; Unopenable when it was erased."""
        raw = self._cached.get((tenant, name))
        if not raw:  # also what somebody wanted to open before it was made
            raw = await self._kept(await self._tenant_key(tenant), tenant, name)
            self._cached.put((tenant, name), raw)
        if not raw:
            raise Unopenable(f"the key {name} was erased")
        return raw

    async def erase(self, tenant: str, author: str) -> None:
        """Destroy an author's key, for good: nothing sealed under it opens again. Whoever is in `erased` is told."""
        await self._documents.delete(Scope(tenant), _KEYS, author, _ERASED)
        self._cached.put((tenant, author), b"")
        for tell in self.erased:
            tell(tenant, author)
        self._lose()

    def forget(self, tenant: str, author: str) -> None:
        """Read an author's key anew the next time: another worker erased it."""
        self._cached.forget((tenant, author))
        self._lose()

    def _lose(self) -> None:
        for lose in self.lost:
            lose()

    async def check(self) -> None:
        """Make sure that the master key is the one this set-up was made with. Raises Unopenable when it is another."""
        try:
            await self._kept(self._master, SYSTEM.tenant, "~master")
        except Unopenable as error:
            raise Unopenable("the master key is not the one that this set-up was made with: put that one back") from error

    async def _tenant_key(self, tenant: str) -> bytes:
        if (raw := self._cached.get((tenant, _TENANT))) is None:
            raw = await self._kept(self._master, tenant, _TENANT)
            self._cached.put((tenant, _TENANT), raw)
        if not raw:
            raise Unopenable("the keys of this application were erased")
        return raw

    async def _kept(self, above: bytes, tenant: str, name: str) -> bytes:
        """The key as it is stored, made where there is none; b"" when it was erased. Of several who make it, one wins."""
        scope = Scope(tenant)
        held = await self._documents.get(scope, _KEYS, name)
        if held is None:
            fresh = self._rng.bytes(KEY_SIZE)
            sealed = seal(above, joined("key", tenant, name), fresh, self._rng.bytes(NONCE_SIZE))
            if await self._documents.put(scope, _KEYS, name, {"sealed": sealed}, version(1)):
                return fresh
            held = await self._documents.get(scope, _KEYS, name)
        return self._unwrap(above, tenant, name, held.doc["sealed"]) if held else b""

    def _unwrap(self, above: bytes, tenant: str, name: str, sealed: bytes) -> bytes:
        return open_sealed(above, joined("key", tenant, name), sealed)


def opens_master(master: bytes, held: Mapping[str, Any] | None) -> None:
    """Make sure that a master key opens the document `MASTER`, if there is one. Raises Unopenable."""
    if held is not None:
        open_sealed(master, joined("key", MASTER[0], MASTER[2]), held["sealed"])
