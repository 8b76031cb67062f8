"""The verbs of secret keys: create, authenticate, list, revoke. Kept as SHA-256: 256 random bits need no slow hash."""

from collections.abc import Sequence
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address

import msgspec

from protocol.errors import Refused
from protocol.world import Clock, Rng
from services.api_keys.text import DEV_SECRET, is_publishable, make_key, secret_key_id
from services.applications.model import DEV, Application
from services.recent import Recent
from services.scope import SYSTEM, Scope
from storage.ports.documents import Documents, version
from storage.ports.entry import Place

_KEYS = "api_keys"
_MOST_OF_ONE = 20
_TRUSTED_MS = 1_000
_MOST_CACHED = 2_000
_REVOKED = Place(1, 0, 0)
"""Later than every version number."""


class ApiKey(msgspec.Struct, frozen=True):
    """A secret key as stored."""

    application: str
    hash: bytes
    last4: str
    created_at: int


class ApiKeys:
    """Secret keys of every application."""

    def __init__(self, documents: Documents, clock: Clock, rng: Rng, *, dev: bool = False) -> None:
        """`dev`: the development set-up's key is taken too, from this machine alone."""
        self._documents, self._clock, self._rng, self._dev = documents, clock, rng, dev
        self._seen: Recent[bytes, tuple[str, int]] = Recent(_MOST_CACHED)  # hash: application, when it was looked up

    async def create(self, application: Application) -> str:
        """A new secret key, shown this once. Raises Refused when the application has as many as it may have."""
        found = await self._documents.find(SYSTEM, _KEYS, "of_application", (application.id,), limit=_MOST_OF_ONE)
        if len(found) >= _MOST_OF_ONE:
            raise Refused("too_many", "Revoke a key first.", limit=("api_keys", _MOST_OF_ONE, len(found) + 1))
        made = make_key(application.environment, "sk", self._rng)
        doc = ApiKey(application.id, _hash(made.text), made.text[-4:], self._clock.now_ms())
        if not await self._documents.put(SYSTEM, _KEYS, made.id, msgspec.structs.asdict(doc), version(1)):
            return await self.create(application)  # the id was taken: one in 2^40
        return made.text

    async def list(self, scope: Scope) -> Sequence[tuple[str, ApiKey]]:
        """The application's keys that are valid: id, and what is kept of each."""
        found = await self._documents.find(SYSTEM, _KEYS, "of_application", (scope.tenant,), limit=_MOST_OF_ONE)
        return [(held.key, msgspec.convert(held.doc, ApiKey)) for held in found]

    async def authenticate(self, text: str, peer: str) -> str:
        """The application that a secret key is of; `peer` is the address it came from. Raises Refused `token_invalid`."""
        if self._dev and compare_digest(text.encode(), DEV_SECRET.encode()) and is_loopback(peer):
            return DEV
        if (key := secret_key_id(text)) is None:
            hint = "A publishable key opens nothing: use a secret key." if is_publishable(text) else "This is not a valid secret key."
            raise Refused("token_invalid", hint)
        hashed = _hash(text)
        if (seen := self._seen.get(hashed)) and 0 <= self._clock.now_ms() - seen[1] < _TRUSTED_MS:
            return seen[0]
        return await self._looked_up(key, hashed)

    async def revoke(self, scope: Scope, key: str) -> None:
        """End a key of this application, for good: everywhere within a second. Raises Refused `not_found`."""
        held = await self._documents.get(SYSTEM, _KEYS, key)
        if held is None or held.doc["application"] != scope.tenant:
            raise Refused("not_found", "There is no such key.")
        await self._documents.delete(SYSTEM, _KEYS, key, _REVOKED)
        self._seen.forget(held.doc["hash"])

    async def _looked_up(self, key: str, hashed: bytes) -> str:
        now = self._clock.now_ms()
        held = await self._documents.get(SYSTEM, _KEYS, key)
        if held is None or not compare_digest(held.doc["hash"], hashed):
            raise Refused("token_invalid", "This is not a valid secret key.")
        application: str = held.doc["application"]
        self._seen.put(hashed, (application, now))
        return application


def is_loopback(peer: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _hash(text: str) -> bytes:
    return sha256(text.encode()).digest()
