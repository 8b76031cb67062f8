"""The verbs of token keys: register, list, delete; and find, for whoever verifies a token."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from protocol import replies
from protocol.errors import Refused
from protocol.world import Clock, Rng
from services.api_keys.using import note_use
from services.chance import base32
from services.commands import command
from services.recent import Recent
from services.scope import SYSTEM, Scope
from services.token_keys.model import MOST_OF_ONE, CreateTokenKey, DeleteTokenKey, ListTokenKeys, Registered, TokenKey
from services.token_keys.public import read_public, stored_key
from storage.ports.documents import Documents, Held, version
from storage.ports.entry import Place

PREFIX = "tk_"
"""Every id begins so; no signing key of ours does."""

_KEYS = "token_keys"
_TRUSTED_MS = 1_000
_MOST_CACHED = 2_000
_DELETED = Place(1, 0, 0)
"""Later than every version number."""


class TokenKeys:
    """Registered keys of every application. They belong to the set-up, for they are looked up before a tenant is known."""

    def __init__(self, documents: Documents, clock: Clock, rng: Rng) -> None:
        self._documents, self._clock, self._rng = documents, clock, rng
        self.deleted: list[Callable[[str], None]] = []
        """Called with the application when one of its keys is no more, so that its tokens end. Must not wait."""
        self._seen: Recent[str, tuple[Registered, int]] = Recent(_MOST_CACHED)  # with when it was looked up

    @command("token_key.create", "POST /token_keys", answers=replies.TokenKeyMade, makes=True, anyone=False)
    async def create(self, scope: Scope, p: CreateTokenKey) -> dict[str, Any]:
        """Register the public half of a key that the application signs user tokens with; one that is registered stays as it is."""
        public = read_public(p.public_key)
        found = await self._of(scope)
        for held in found:
            if held.doc["fingerprint"] == public.fingerprint():
                return {"key": _shown(held.key, _as_key(held)), "unchanged": True}
        if len(found) >= MOST_OF_ONE:
            raise Refused("too_many", "Delete a key first.", limit=("token_keys", MOST_OF_ONE, len(found) + 1))
        made = TokenKey(scope.tenant, public.algorithm, public.der(), public.fingerprint(), p.name or "", self._clock.now_ms())
        key = PREFIX + base32(self._rng.bytes(20))
        await self._documents.put(SYSTEM, _KEYS, key, msgspec.structs.asdict(made), version(1))
        return {"key": _shown(key, made)}

    @command("token_key.list", "GET /token_keys", answers=replies.TokenKeyList, anyone=False)
    async def list(self, scope: Scope, p: ListTokenKeys) -> dict[str, Any]:
        """The registered keys, with when each was last used."""
        return {"items": [_shown(held.key, _as_key(held)) for held in await self._of(scope)]}

    @command("token_key.delete", "DELETE /token_keys/{key}", answers=replies.Nothing, anyone=False)
    async def delete(self, scope: Scope, p: DeleteTokenKey) -> dict[str, Any]:
        """Take a key back, for good: its tokens end within a second, and their connections with them."""
        held = await self._documents.get(SYSTEM, _KEYS, p.key)
        if held is None or held.doc["application"] != scope.tenant:
            raise Refused("not_found", "There is no such key.", field="key")
        await self._documents.delete(SYSTEM, _KEYS, p.key, _DELETED)
        self.forget(p.key)
        for tell in self.deleted:
            tell(scope.tenant)
        return {}

    async def find(self, key: str) -> Registered | None:
        """A key by its id, as it was within the last second."""
        now = self._clock.now_ms()
        if (seen := self._seen.get(key)) and 0 <= now - seen[1] < _TRUSTED_MS:
            return seen[0]
        held = await self._documents.get(SYSTEM, _KEYS, key)
        if held is None:
            self.forget(key)
            return None
        await note_use(self._documents, _KEYS, held, now)
        stored = _as_key(held)
        found = seen[0] if seen else Registered(stored.application, stored.algorithm, stored_key(stored.public))
        self._seen.put(key, (found, now))
        return found

    async def missing(self, keys: set[str]) -> set[str]:
        """Those of these keys that are no more, as storage has it now."""
        found = await self._documents.get_many(SYSTEM, _KEYS, sorted(keys)) if keys else {}
        return keys - found.keys()

    def forget(self, key: str) -> None:
        """Look it up the next time."""
        self._seen.forget(key)

    async def _of(self, scope: Scope) -> Sequence[Held]:
        found = await self._documents.find(SYSTEM, _KEYS, "of_application", (scope.tenant,), limit=2 * MOST_OF_ONE)
        return sorted(found, key=lambda held: (held.doc["created_at"], held.key))


def _as_key(held: Held) -> TokenKey:
    return msgspec.convert(held.doc, TokenKey)


def _shown(key: str, stored: TokenKey) -> dict[str, Any]:
    known = {"name": stored.name, "last_used_at": stored.last_used_at}
    return {"id": key, "algorithm": stored.algorithm, "fingerprint": stored.fingerprint, "created_at": stored.created_at,
            **{name: value for name, value in known.items() if value}}
