"""What every command needs to know of its tenant before it can begin: the key that ids and digests are derived with."""

from collections.abc import Awaitable, Callable
from typing import Any

from protocol.ids import derived_id
from services.digests import digest
from services.recent import Recent

_MOST_CACHED = 10_000


class Tenant:
    """An application's own derivations. Its key never changes, so an id derived once is right for ever."""

    __slots__ = ("_key", "_personal", "id")

    def __init__(self, tenant: str, key: bytes) -> None:
        self.id, self._key = tenant, key
        self._personal: Recent[str, str] = Recent(_MOST_CACHED)  # asked for again and again while somebody comes in

    def personal(self, user: str) -> str:
        """A user's personal conversation (`me` on the wire), by internal id."""
        if (known := self._personal.get(user)) is None:
            known = derived_id(self._key, "personal", user)
            self._personal.put(user, known)
        return known

    def direct(self, one: str, other: str) -> str:
        """The direct conversation of two users, whoever asks."""
        return derived_id(self._key, "direct", *sorted((one, other)))

    def application(self) -> str:
        """The application's own conversation."""
        return derived_id(self._key, "application")

    def derived(self, kind: str, *ids: str) -> str:
        """Any other derived conversation."""
        return derived_id(self._key, kind, *ids)

    def digest(self, kind: str, actor: str, fields: dict[str, Any]) -> bytes:
        """What makes two acts the same."""
        return digest(self._key, kind, actor, fields)

    @property
    def key(self) -> bytes:
        """For acts that follow from another one (`protocol.ids.derived_act`)."""
        return self._key


class Tenants:
    """The tenants a worker has met. Bounded by how many applications a set-up has."""

    def __init__(self, hash_key: Callable[[str], Awaitable[bytes]]) -> None:
        self._hash_key = hash_key
        self._known: dict[str, Tenant] = {}

    async def ready(self, tenant: str) -> Tenant:
        """The tenant, loaded the first time."""
        if tenant not in self._known:
            self._known[tenant] = Tenant(tenant, await self._hash_key(tenant))
        return self._known[tenant]

    def known(self, tenant: str) -> Tenant:
        """One that is ready: whoever has a Scope has made it so."""
        return self._known[tenant]
